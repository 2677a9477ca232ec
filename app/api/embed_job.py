"""A request that embeds, in the one form that all schemas are parsed to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from app.api.params import Params, parse_strings
from app.errors import RequestInvalid, TooManyRows
from app.inference.bad_rows import BadRow, BadRows
from app.inference.items import EmbedOptions, Item


@dataclass(frozen=True)
class EmbedJob:
    """The items and the parameters of a request.

    Args:
        row_count: number of rows; a row has an image, a text or both.
        images: in the order of their rows.
        texts: in the order of their rows.
        params: how to compute and how to answer.
        ignored_params: names of sent parameters that the service does not know.
        row_errors: errors of rows of the wrong shape, if bad rows are answered.
        only_images: whether the request has images and no column of texts, not even an empty one.
    """

    row_count: int
    images: Sequence[Item]
    texts: Sequence[Item]
    params: Params
    ignored_params: Sequence[str] = ()
    row_errors: Mapping[int, BadRow] = field(default_factory=dict)
    only_images: bool = False

    @classmethod
    def from_files(cls, images: Sequence[bytes], texts: Sequence[str], sent: Mapping[str, str]) -> "EmbedJob":
        """A job from image files and texts, of which the first of each make up row 0, and the parameters sent.

        Raises:
            RequestInvalid: a parameter is wrong.
        """
        params, ignored = parse_strings(sent, Params)
        return cls(
            max(len(images), len(texts)),
            [Item(row, image) for row, image in enumerate(images)],
            [Item(row, text) for row, text in enumerate(texts)],
            params,
            ignored,
            only_images=not texts,
        )

    @property
    def bad_rows(self) -> BadRows:
        """A new collection of the bad rows, with the errors known so far."""
        return BadRows(answered=self.params.answers_bad_rows, known=self.row_errors)

    @property
    def options(self) -> EmbedOptions:
        return EmbedOptions(self.params.preprocessing, self.params.normalize, self.params.truncate)

    def without_frames(self) -> "EmbedJob":
        """The job itself.

        Raises:
            RequestInvalid: it asks for all frames, which only `/embed/image` answers.
        """
        if self.params.frames:
            raise RequestInvalid(
                'Only /embed/image accepts params.frames "all"; choose one frame with params.frame instead.'
            )
        return self


def check_row_count(count: int, max_rows: int) -> None:
    """Raise RequestInvalid for no rows, and TooManyRows for more than `max_rows`."""
    if not count:
        raise RequestInvalid("The request has no rows; send at least one.")
    if count > max_rows:
        raise TooManyRows(f"The request has {count} rows, at most {max_rows} are allowed; send fewer rows at once.")
