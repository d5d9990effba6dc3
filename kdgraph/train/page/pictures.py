"""The pictures in a run's folder, as data URIs that together stay within a budget."""

from __future__ import annotations

import warnings
from base64 import b64encode
from dataclasses import dataclass, field
from html import escape
from io import BytesIO
from pathlib import Path

from PIL import Image, JpegImagePlugin, PngImagePlugin

from kdgraph.train.page.markup import note

__all__ = ["Pictures", "maps", "plots"]

WIDTH = 1600
"""Pixels that a picture is at most wide; wider ones are scaled down."""
BUDGET = 8_000_000
"""Bytes that all pictures take at most; in the page they are a third more."""
_PLAIN = 400_000  # bytes; a larger picture is stored anew, as JPEG
_PIXELS = 150_000_000  # as many take half a gigabyte to read
_FORMATS = {"PNG": "png", "JPEG": "jpeg"}

_MAPS = {".epoch1.png": "after epoch 1", ".last.png": "after the edge's last epoch"}
_PLOTS = {
    "val_batch0_labels.jpg": "Validation images: the labels",
    "val_batch0_pred.jpg": "Validation images: the student's predictions",
    "val_batch1_labels.jpg": "More validation images: the labels",
    "val_batch1_pred.jpg": "More validation images: the student's predictions",
    "confusion_matrix_normalized.png": "Confusion matrix, normalised",
    "BoxPR_curve.png": "Precision over recall, boxes",
    "MaskPR_curve.png": "Precision over recall, masks",
    "PosePR_curve.png": "Precision over recall, poses",
    "train_batch0.jpg": "Training images, augmented, with labels",
}
"""Names that Ultralytics gives its plots, and what they show."""


@dataclass
class Pictures:
    """Embeds pictures while the budget lasts; `left_out` are the names of those it could not."""

    left: int = BUDGET
    left_out: list[str] = field(default_factory=list)

    def figure(self, file: Path, caption: str, kind: str = "picture") -> str:
        """A `<figure>`; one that only says so where the picture cannot be read or is one too many."""
        try:
            content, form, size = _content(file)
        except (OSError, ValueError, SyntaxError) as error:  # the last is Pillow's, of a broken file
            return note(f"{file.name} cannot be read: {error}")
        if len(content) > self.left:
            self.left_out.append(file.name)
            return ""
        self.left -= len(content)
        text = escape(caption, quote=True)
        source = f"data:image/{form};base64,{b64encode(content).decode('ascii')}"
        return (
            f'<figure class="{kind}"><img src="{source}" alt="{text}" width="{size[0]}" height="{size[1]}">'
            f"<figcaption>{text}</figcaption></figure>"
        )


def _content(file: Path) -> tuple[bytes, str, tuple[int, int]]:
    """Bytes, format and size in pixels of a picture as it goes into the page."""
    content = file.read_bytes()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow thinks of a picture is nothing to tell
        opened = _opened(content)
        if opened.width <= WIDTH and len(content) <= _PLAIN:
            return content, _FORMATS[str(opened.format)], opened.size
        image = _on_white(opened)
    image.thumbnail((WIDTH, 8 * WIDTH))
    stored = BytesIO()
    image.save(stored, "JPEG", quality=85, optimize=True)
    return stored.getvalue(), "jpeg", image.size


def _opened(content: bytes) -> Image.Image:
    """A PNG or a JPEG, read to its end.

    Not by `Image.open`: Ultralytics replaces it by one that installs packages when it knows no format.
    """
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        opened: Image.Image = PngImagePlugin.PngImageFile(BytesIO(content))
    elif content.startswith(b"\xff\xd8\xff"):
        opened = JpegImagePlugin.JpegImageFile(BytesIO(content))
    else:
        raise ValueError("neither PNG nor JPEG")
    if opened.width * opened.height > _PIXELS:
        raise ValueError(f"too large: {opened.width} x {opened.height} pixels")
    opened.load()
    return opened


def _on_white(image: Image.Image) -> Image.Image:
    """JPEG knows no transparency."""
    if image.mode in ("RGBA", "LA", "P"):
        layer = image.convert("RGBA")
        ground = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def maps(folder: Path, pictures: Pictures) -> str:
    """Each compared pair's maps, after the first epoch and after the edge's last, side by side."""
    found = [file.name for file in sorted((folder / "maps").glob("*.png"))]
    terms = dict.fromkeys(name[: -len(end)] for name in found for end in _MAPS if name.endswith(end))
    return "".join(_term(folder / "maps", term, pictures) for term in terms)


def _term(folder: Path, term: str, pictures: Pictures) -> str:
    files = [(folder / f"{term}{end}", caption) for end, caption in _MAPS.items()]
    figures = "".join(pictures.figure(file, caption) for file, caption in files if file.is_file())
    return f'<h4>{escape(term)}</h4>\n<div class="pictures">{figures}</div>\n' if figures else ""


def plots(folder: Path, pictures: Pictures, since: float = 0.0) -> str:
    """What Ultralytics draws of a run: predictions, confusion matrix, curves, training images.

    since: when the run began, in seconds since 1970; older ones are of a run that was here before.
    """
    files = [(folder / name, caption) for name, caption in _PLOTS.items()]
    found = [(file, text) for file, text in files if file.is_file() and file.stat().st_mtime >= since]
    figures = "\n".join(pictures.figure(file, caption) for file, caption in found)
    return f'<div class="pictures">\n{figures}\n</div>' if figures.strip() else ""
