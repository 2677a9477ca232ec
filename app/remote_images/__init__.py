"""Images that a request gives by URL. Imports neither fastapi nor starlette."""
