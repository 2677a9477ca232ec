"""Requests with `Expect: 100-continue`, whose client sends the body once it is asked for."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle


async def answer_expecting(
    cycle: RequestResponseCycle, app: ASGIApp, scope: Scope, receive: Receive, send: Send
) -> None:
    """Call the application, and close the connection if it answers without having asked for the body.

    Such a client may send its body or not, so that nobody can tell what the next bytes on the connection are.
    """

    async def send_last(message: Message) -> None:
        if cycle.waiting_for_100_continue:
            cycle.keep_alive = False
        await send(message)

    await app(scope, receive, send_last)
