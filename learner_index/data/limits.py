"""What a cohort's data cannot answer, said before somebody asks in vain."""

import pandas as pd


def limits_of(obs: pd.DataFrame) -> tuple[str, ...]:
    """What these scans cannot answer, as `cohort_limits` puts it.

    Args:
        obs: (n, …) with the columns patient_id, day and health_score.
    """
    n_days = obs.groupby("patient_id")["day"].nunique()
    scored = int(obs["health_score"].notna().sum())
    return cohort_limits(len(n_days), int((n_days > 1).sum()), scored)


def cohort_limits(n_patients: int, n_followed: int, n_scored: int) -> tuple[str, ...]:
    """A line for each thing that is missing: what still answers, and what needs more.

    Args:
        n_patients: distinct patients.
        n_followed: patients with visits on two days or more.
        n_scored: scans with a health score.

    Returns:
        Nothing where all questions can be asked.
    """
    if n_patients == 0:
        return ()
    lines = []
    if n_patients == 1:
        lines.append("one patient: every question compares patients; add others to the manifest")
    if n_followed == 0:
        lines.append(
            "no patient has two visits with a day: similar answers; progression, trajectory and "
            "response need a second day or date"
        )
    if n_scored == 0:
        lines.append(
            "no health score: similar answers, progression and trajectory say how patients moved, "
            "not whether for the better; pretrain, evaluate and --direction need --score-column "
            "NAME, response that or --target"
        )
    return tuple(lines)
