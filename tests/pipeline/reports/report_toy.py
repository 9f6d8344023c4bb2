"""A store small enough to report on in a second, and what readers of a page may rely on."""

import os
import re
from contextlib import contextmanager
from html.parser import HTMLParser
from unittest.mock import patch

import pandas as pd

from learner_index.analysis.plots.drawing import Drawing
from learner_index.pipeline import plot
from learner_index.pipeline.progression.reference import fit_whole_reference
from learner_index.store.writer import open_writer
from tests.pipeline.progression.store_of import WIDTH, kind_of, planted

VOID = {"meta", "img", "br", "rect", "wbr", "link", "input", "hr"}


@contextmanager
def unsynced():
    """What is written need not survive a power cut."""
    with patch.object(os, "fsync", lambda handle: None):
        yield


def undrawn(patch):
    """Figures become blank ones, which take no time."""
    for name in ("trajectory", "progression", "distances"):
        patch.setattr(plot, name, lambda *asked, **more: Drawing(figsize=(1, 1)))


def rows_of(patients=14, seed=0, *, roles="unseen", **asked):
    """Embeddings and columns of planted patients, with what a real store adds."""
    x, obs = planted(seed, patients, **{"views": ("L1",), **asked})
    obs["content_hash"] = pd.array(obs["scan_id"] + "-bytes", dtype="string")
    number = obs["patient_id"].str.removeprefix("P").astype(int)
    told = [roles if isinstance(roles, str) else roles(one) for one in number]
    obs["encoder_role"] = pd.array(told, dtype="string")
    return x, obs


def make_store(path, x, obs, **settings):
    """A real store of these rows with its reference."""
    card = {"space": "toy", "spec": "toy", "embedding_width": WIDTH, "projection": "none"}
    kinds = {name: kind_of(obs[name]) for name in obs}
    with unsynced(), open_writer(path) as writer:
        writer.create(x.shape[1], kinds, {"clock": "patient", "encoder": card, **settings})
        writer.append(x, obs)
        writer.add_reference(fit_whole_reference(x, obs))
    return path


class Read(HTMLParser):
    """What a page says, and whether its tags are nested as they should be.

    Attributes:
        text: all words, in order.
        headings: level of each heading and its text.
        tables: captions with their rows of cells.
        images: attributes of each picture.
        links: every address named in an attribute.
        wrong: tags that close what is not open.
    """

    def __init__(self, html):
        super().__init__()
        self.pieces, self.headings, self.tables, self.images = [], [], [], []
        self.links, self.wrong, self.open = [], [], []
        self.feed(html)
        self.text = " ".join("".join(self.pieces).split())

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.links += [known[name] for name in ("src", "href", "action", "data") if name in known]
        if tag == "img":
            self.images.append(known)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")
        if re.fullmatch("h[1-6]", tag):
            self.headings.append([int(tag[1]), ""])
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        if "style" in self.open:
            return
        self.pieces.append(data if {"td", "th", "p", "li", "dd"} & {*self.open} else f" {data} ")
        if self.open and re.fullmatch("h[1-6]", self.open[-1]):
            self.headings[-1][1] += data
        if {"td", "th"} & {*self.open} and self.tables[-1]:
            self.tables[-1][-1][-1] += data
