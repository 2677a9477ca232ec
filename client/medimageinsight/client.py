"""Client for code that is not asynchronous, also in a notebook."""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self, Unpack

from medimageinsight.async_client import AsyncClient
from medimageinsight.background_loop import BackgroundLoop
from medimageinsight.classifications import Labels
from medimageinsight.embeddings import OutputDtype, Vectors
from medimageinsight.errors import Failure
from medimageinsight.images import ImageLike
from medimageinsight.preprocessing import Axis, Contrast, Preprocessing
from medimageinsight.requests.item_call import OnError


class Client:
    """Client for code that is not asynchronous: `with Client(url) as client: client.embed_texts([...])`.

    Args:
        url: base URL of the server; http:// may be left out. Default: http://127.0.0.1:8000.
        api_key: API key, sent as a bearer token; default: none.
        concurrency: maximum number of requests at once, over all calls of this client.
        attempts: attempts per request. Another attempt follows only after 429, 502, 503 and a failed connection. It
            waits as long as `Retry-After` says, otherwise longer each time, and at most 60 seconds.
        timeout_s: limit in seconds for each connect, write and read of a request.
        progress: True, the default, shows a progress bar.

    Raises:
        ServerUnreachable: the URL has another scheme than http and https, or no host. Nothing is sent yet.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        concurrency: int = 4,
        attempts: int = 6,
        timeout_s: float = 300.0,
        progress: bool = True,
    ) -> None:
        self._client = AsyncClient(
            url, api_key=api_key, concurrency=concurrency, attempts=attempts, timeout_s=timeout_s, progress=progress
        )
        self._loop = BackgroundLoop(at_end=self._client.aclose)

    def __repr__(self) -> str:
        """The URL and, once it is known, the model."""
        return repr(self._client).removeprefix("Async")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections and cancel the calls of other threads; a second call does nothing."""
        self._loop.close()

    def info(self) -> Mapping[str, Any]:
        """Describe the model and the limits of the server.

        Returns:
            The answer of `GET /info`, requested once per client.

        Raises:
            ServerUnreachable: nothing answers, or something else than a MedImageInsight Server.
            Refused: the server refuses the request, for example without an API key.
        """
        return self._loop.run(self._client.info)

    def embed_images(
        self,
        images: Iterable[ImageLike],
        *,
        errors: OnError = "raise",
        failures: list[Failure] | None = None,
        dicom_window: str | Sequence[float] | None = None,
        contrast: Contrast = "none",
        frame: int | None = None,
        axis: Axis = "axial",
        normalize: bool = True,
        output_dtype: OutputDtype = "float32",
        image_standardization_image_size: int = 512,
        image_standardization_jpeg_compression_ratio: int | None = 75,
    ) -> Vectors:
        """Embed images.

        Args:
            images: paths, bytes of files (DICOM too), PIL images, pydicom Datasets, or arrays: (H, W) of integers or
                floating point, or (H, W, 3) of uint8.
            errors: "raise", the default, ends the call at a failed image. "skip" leaves it out: its row is NaN.
            failures: list that receives the failed images with errors="skip". Without it, one warning is issued.
            dicom_window: window for DICOM, NIfTI, NRRD and grey arrays: (center, width) in rescaled values (HU for
                CT), a name such as "lung", or percentiles such as "p1-p99". Default: the window of the file.
            contrast: "none", the default, or "equalize", a histogram equalisation of the 8-bit picture.
            frame: frame of a DICOM file, page of a TIFF file, or slice of a volume, counted from 0. Default: the first
                frame or page, and the middle slice.
            axis: direction across which a NIfTI or NRRD volume is cut into slices; default: "axial".
            normalize: True, the default, scales each embedding to unit L2 norm.
            output_dtype: number format of the embeddings. "int8" has 256 steps from -0.2 to 0.2; "binary" packs eight
                signs into an int8. Default: "float32".
            image_standardization_image_size: width and height of the standardised image, in pixels; default: 512.
            image_standardization_jpeg_compression_ratio: JPEG quality of the standardised image, from 0 to 95; 0 or
                None turns standardisation off. Default: 75.

        Returns:
            (n, D), in the order of the images; (n, D / 8) for "binary".

        Raises:
            TypeError: `images` is not a collection, or an image has an unsupported type.
            ValueError: an array or a Dataset is not an image that can be sent.
            OSError: a path cannot be read.
            Refused: the server refuses the request; `item` is the number of the image.
            ServerUnreachable: the server does not answer, after all attempts.
        """
        return self._loop.run(
            lambda: self._client.embed_images(
                images,
                errors=errors,
                failures=failures,
                dicom_window=dicom_window,
                contrast=contrast,
                frame=frame,
                axis=axis,
                normalize=normalize,
                output_dtype=output_dtype,
                image_standardization_image_size=image_standardization_image_size,
                image_standardization_jpeg_compression_ratio=image_standardization_jpeg_compression_ratio,
            )
        )

    def embed_texts(
        self,
        texts: Iterable[str],
        *,
        errors: OnError = "raise",
        failures: list[Failure] | None = None,
        normalize: bool = True,
        output_dtype: OutputDtype = "float32",
    ) -> Vectors:
        """Embed texts.

        Args:
            texts: strings.
            errors: "raise", the default, ends the call at a failed text. "skip" leaves it out: its row is NaN.
            failures: list that receives the failed texts with errors="skip". Without it, one warning is issued.
            normalize: True, the default, scales each embedding to unit L2 norm.
            output_dtype: number format of the embeddings. "int8" has 256 steps from -0.2 to 0.2; "binary" packs eight
                signs into an int8. Default: "float32".

        Returns:
            (n, D), in the order of the texts; (n, D / 8) for "binary".

        Raises:
            TypeError: `texts` is not a collection of strings.
            Refused: the server refuses the request; `item` is the number of the text.
            ServerUnreachable: the server does not answer, after all attempts.
        """
        return self._loop.run(
            lambda: self._client.embed_texts(
                texts, errors=errors, failures=failures, normalize=normalize, output_dtype=output_dtype
            )
        )

    def classify(
        self,
        images: Iterable[ImageLike],
        *,
        labels: Labels | None = None,
        head: str | Sequence[str] | None = None,
        top_k: int | None = None,
        multi_label: bool | None = None,
        template: str | None = None,
        errors: OnError = "raise",
        failures: list[Failure] | None = None,
        **preprocessing: Unpack[Preprocessing],
    ) -> list[Any]:
        """Classify images by labels, or by a head that the server has loaded.

        Args:
            images: as in `embed_images`.
            labels: texts, or a mapping from each label to its text or texts, whose embeddings are averaged. A value
                {"present": …, "absent": …} also has texts for the absence of the label.
            head: name of a loaded head, or several names. Without labels and head, the only loaded head is taken.
            top_k: number of predictions per image; default: all labels.
            multi_label: True scores each label by itself; `labels` then need texts for their absence. False lets the
                scores of an image sum to 1. Default: what the head was made for, and False for `labels`.
            template: text around each label, such as "{}."; default: "{}".
            errors: "raise", the default, ends the call at a failed image. "skip" makes its result None.
            failures: list that receives the failed images with errors="skip". Without it, one warning is issued.
            preprocessing: the preprocessing parameters of `embed_images`. Default: those of the head; without a head,
                those of the server. Arrays of uint8, uint16 and floating point get a window only from `dicom_window`
                here.

        Returns:
            Per image, in their order, a list of `Prediction`, highest score first. With several names in `head`: per
            image a dict from the name to such a list.

        Raises:
            TypeError: `labels` is one string, a parameter is unknown, or an image has an unsupported type.
            Refused: the server refuses the request, for example an unknown head, or it is too old to classify.
            ValueError, OSError, ServerUnreachable: as in `embed_images`.
        """
        return self._loop.run(
            lambda: self._client.classify(
                images,
                labels=labels,
                head=head,
                top_k=top_k,
                multi_label=multi_label,
                template=template,
                errors=errors,
                failures=failures,
                **preprocessing,
            )
        )

    def similarity(
        self,
        *,
        images: Iterable[ImageLike] | None = None,
        texts: Iterable[str] | None = None,
        to_images: Iterable[ImageLike] | None = None,
        to_texts: Iterable[str] | None = None,
        errors: OnError = "raise",
        failures: list[Failure] | None = None,
        **preprocessing: Unpack[Preprocessing],
    ) -> Vectors:
        """Compute cosine similarities, for example with `images=scans, to_texts=reports`.

        Both sides are embedded by calls of `embed_images` or `embed_texts`, so they may have any size.

        Args:
            images, texts: the rows of the result; one of the two.
            to_images, to_texts: the columns; one of the two. Default: the rows themselves.
            errors: "raise", the default, ends the call at a failed item. "skip" makes its row or column NaN.
            failures: list that receives the failed items with errors="skip", those of the rows first. Without it, one
                warning per side is issued.
            preprocessing: the preprocessing parameters of `embed_images`, for the images of both sides.

        Returns:
            (rows, columns) float32, from -1 to 1.

        Raises:
            TypeError: a side is not exactly one collection, or a parameter is unknown.
            ValueError, OSError, Refused, ServerUnreachable: as in `embed_images`.
        """
        return self._loop.run(
            lambda: self._client.similarity(
                images=images,
                texts=texts,
                to_images=to_images,
                to_texts=to_texts,
                errors=errors,
                failures=failures,
                **preprocessing,
            )
        )
