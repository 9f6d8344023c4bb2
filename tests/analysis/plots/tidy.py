"""Whether the words of a figure can be read: inside the page, and none upon another."""

from itertools import combinations

from matplotlib.backends.backend_agg import FigureCanvasAgg


def words(figure):
    """Everything written on a figure outside of tick labels."""
    found = [*figure.texts, *(text for key in figure.legends for text in key.get_texts())]
    for axis in figure.axes:
        found += [axis.title, axis.xaxis.label, axis.yaxis.label, *axis.texts]
    return [text for text in found if text.get_text().strip() and text.get_visible()]


def tick_words(axis):
    """Labels of the ticks that are shown."""
    found = []
    for side, (low, high), place in (
        (axis.xaxis, sorted(axis.get_xlim()), 0),
        (axis.yaxis, sorted(axis.get_ylim()), 1),
    ):
        shown = [label for label in side.get_ticklabels() if label.get_visible()]
        found += [label for label in shown if low <= label.get_position()[place] <= high]
    return [label for label in found if label.get_text()]


def untidy(figure):
    """What is wrong with the words of a figure, in words; nothing where all can be read."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    texts = [*words(figure), *(label for axis in figure.axes for label in tick_words(axis))]
    boxes = [text.get_window_extent(canvas.get_renderer()).padded(-1) for text in texts]
    page = figure.bbox.padded(1)
    found = [
        f"{text.get_text()!r} leaves the page"
        for text, box in zip(texts, boxes, strict=True)
        if not (page.x0 <= box.x0 and page.y0 <= box.y0 and box.x1 <= page.x1 and box.y1 <= page.y1)
    ]
    found += [
        f"{texts[i].get_text()!r} lies on {texts[j].get_text()!r}"
        for i, j in combinations(range(len(texts)), 2)
        if boxes[i].overlaps(boxes[j])
    ]
    return found


def caption(figure):
    """The small text below, in one line with plain spaces."""
    return " ".join(figure.texts[1].get_text().split())


def title(figure):
    """The title in one line."""
    return " ".join(figure.texts[0].get_text().split())
