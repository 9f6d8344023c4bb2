"""A cohort small enough to fit in a test, and the parts of a fit that a test asks for."""

from dataclasses import fields, replace

import numpy as np

from learner_index.analysis.softmax import softmax
from learner_index.config.response import ResponseOptions
from learner_index.data.heads import HeadKind
from learner_index.pipeline.response.baselines import Trial, embedding_blocks
from learner_index.pipeline.response.crossfit import CrossFit, Tried
from learner_index.pipeline.response.kinds import head_kind
from learner_index.pipeline.response.models import balanced, fit_model, lifted, likeliest
from learner_index.pipeline.response.roles import HeadRoles
from learner_index.store.writer import open_writer
from tests.pipeline.progression.store_of import kind_of
from tests.pipeline.response.response_toy import pool_of, table_of, trial_rows

COLUMNS = {
    "site": lambda number: "XY"[number % 2],
    "age": lambda number: 30.0 + 7 * number % 40,
    "treatment": lambda number: "AB"[number // 3 % 2],
}
OPTIONS = ResponseOptions(threshold=5.0, clinical=("age", "site"), folds=3, n_bootstraps=100)


def rows_of(patients=60, seed=0, **more):
    """Three visits of each patient, with a site, an age and a treatment."""
    return trial_rows(patients, seed=seed, **{**COLUMNS, **more})


def pool_for(rows=None, options=OPTIONS):
    """Examples of some scans, as these options ask for them."""
    asked = {field.name: getattr(options, field.name) for field in fields(options)}
    return pool_of(rows or rows_of(), **asked)


def parts(pool, fit, temper=(), calibrate=()):
    """Roles by patients' numbers."""
    masks = [
        np.isin(np.arange(len(pool.material.patients)), some) for some in (fit, temper, calibrate)
    ]
    return HeadRoles(*masks)


def trial_of(pool, fit, options=OPTIONS):
    """A trial on the patients not fitted on."""
    roles = parts(pool, fit)
    kind = head_kind(options.head, options.task)
    model = fit_model(pool, roles, kind, embedding_blocks(options), seed=options.seed)
    return Trial(pool, roles, ~pool.of(roles.fit), options, model)


def recorded(fit, strengths=(0.1, 1.0, 10.0)):
    """A kind of head that fits by a function of lesson and strength; and the lessons it got."""
    lessons = []

    def noted(lesson, strength, seed):
        lessons.append((lesson, strength))
        return fit(lesson, strength)

    own = HeadKind("told", "as told", ("detect", "predict"), False, True, strengths, noted, None)
    return own, lessons


def altered(rows, patients, seed=9):
    """The same scans, all that is known of some patients changed, but when they were examined."""
    rng = np.random.default_rng(seed)
    shift = {name: rng.standard_normal(3) * 20 for name in patients}
    found = []
    for row in rows:
        if row["patient_id"] in shift:
            vector = tuple(np.array(row["embedding"]) + shift[row["patient_id"]])
            score = 40.0 - row["health_score"] + rng.standard_normal()
            row = {**row, "embedding": vector, "health_score": score, "age": 99.0}
            row |= {"site": "new", "treatment": "new"}
        found.append(row)
    return found


def known_by(head):
    """All that a fitted head has learned, as text that is equal where every bit is."""
    model = head.model
    arrays = {**model.head.arrays(), **head.applicability.arrays(), "prior": model.prior}
    arrays |= {"share": model.share, "center": model.encoding.center, "scale": model.encoding.scale}
    arrays |= {"means": model.encoding.view_means}
    facts = [model.encoding.levels, model.encoding.fills, model.encoding.views, model.strength]
    facts += [model.temperature, head.sets, head.applicability.facts()]
    return repr(facts) + repr({name: (a.dtype, a.tobytes()) for name, a in sorted(arrays.items())})


def with_outcomes(pool, rows, shift=1):
    """A pool in which some examples came to other ends."""
    code = pool.code.copy()
    code[rows] = (code[rows] + shift) % len(pool.classes)
    return replace(pool, code=code)


def tried_of(name, pool, seed=0, skill=1.0, *, is_certain=False):
    """What a model of some skill might say of a pool's examples."""
    rng = np.random.default_rng(seed)
    logits = rng.standard_normal((len(pool.code), len(pool.classes)))
    logits[np.arange(len(pool.code)), pool.code] += skill
    probability = softmax(logits)
    share = np.bincount(pool.code, minlength=len(pool.classes)) / len(pool.code)
    even, label = balanced(probability, share), likeliest(probability)
    named = label if is_certain else lifted(probability, share)
    return Tried(name, probability, even, label, named, is_certain=is_certain)


def crossfit_of(pool, models, *, has_sets=True, seed=0):
    """All models on all examples, with sets that hold about two classes."""
    rng = np.random.default_rng(seed)
    sets = models[0].probability > 0.2 if has_sets else None
    is_silent = rng.random(len(pool.code)) < 0.3
    fold = np.zeros(len(pool.code), np.int64)
    return CrossFit(tuple(models), fold, sets, is_silent, ())


def write_response_store(path, rows, **settings):
    """A store with some scans, without a reference."""
    embeddings, obs = table_of(rows)
    encoder = {"space": "toy", "spec": "toy", "embedding_width": 3, "projection": "none"}
    with open_writer(path) as writer:
        kinds = {name: kind_of(obs[name]) for name in obs}
        writer.create(3, kinds, {"clock": "patient", "encoder": encoder, **settings})
        writer.append(embeddings, obs)
    return path
