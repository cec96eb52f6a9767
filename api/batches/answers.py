"""The answer to a row, and the count of all: the same for the service and offline."""

from dataclasses import dataclass

from api import predict
from api.batches.images import Images
from api.batches.products import Row
from api.bundle import Bundle, Product
from api.inputs import ImageError, clean_text
from api.problems import Problem, unusable_image
from api.product_form import missing_input
from api.schemas import Prediction
from api.zip_safety import ArchiveError


@dataclass(frozen=True)
class Answer:
    """A row without its image, and the prediction, or else the problem."""

    row: Row
    prediction: Prediction | None = None
    has_image: bool = False
    problem: Problem | None = None


@dataclass
class Tally:
    """Counts of what was answered."""

    predicted: int = 0
    errors: int = 0
    without_image: int = 0
    """Of those predicted."""

    @property
    def rows(self) -> int:
        """All of them."""
        return self.predicted + self.errors

    def add(self, answer: Answer) -> None:
        """Counts one."""
        self.count(answer.prediction is not None, answer.has_image)

    def count(self, predicted: bool, has_image: bool) -> None:
        """Counts one, of which no more is known."""
        self.predicted += predicted
        self.errors += not predicted
        self.without_image += predicted and not has_image


def answer(served: Bundle, row: Row, images: Images, top_k: int, identity: str) -> Answer:
    """Classifies one row; what is wrong with it becomes its answer.

    Args:
        served: The bundle.
        row: One product.
        images: Where to look for its image.
        top_k: How many codes to tell.
        identity: The request id of its prediction.
    """
    try:
        if row.product is None:
            raise row.problem or missing_input()
        image = row.product.image if row.product.image is not None else _image(row, images)
        if image is None and not clean_text(row.product.designation):
            raise missing_input()
        product = Product(row.product.designation, row.product.description, image)
        scores = served.probabilities([product])[0]
    except (ImageError, Problem) as error:
        problem = unusable_image(error) if isinstance(error, ImageError) else error
        return Answer(row.without_image(), problem=problem)
    prediction = predict.answer(served, scores, top_k, identity)
    return Answer(row.without_image(), prediction, image is not None)


def _image(row: Row, images: Images) -> bytes | None:
    """The bytes of the image that a row names, or that its numbers name; the latter may lack."""
    if row.image_files is None:
        return None
    name, expected = row.image_files
    try:
        image = images.read(name)
    except (ArchiveError, OSError) as error:
        raise Problem(
            422,
            "L'image est abîmée dans l'archive : refaites l'archive.",
            "image",
            reason="archive_entry",
        ) from error
    if image is None and expected:
        raise Problem(
            422,
            "Aucun fichier de ce nom parmi les images envoyées : vérifiez la colonne « image ».",
            "image",
            reason="not_found",
        )
    return image
