"""How the verdicts on a page were reached, in plain words."""

from dmp.claims.schema import Claims
from dmp.recipes import DECAYED
from dmp.statistics.labels import metric_name

_SPREAD = (
    "'4 baselines, spread of 12': the mean is of four baselines, which were run here. Their "
    "variance is pooled with that of eight others in results/reference, whose runs have the same "
    "configuration and other seeds: Student's t has 3 + 7 degrees of freedom then. Where settings "
    "were changed, the variance is that of the run's own baselines. The other readings of the same "
    "numbers are of those alone."
)


def notes(claims: Claims, spread: bool = False) -> list[str]:
    """Return the notes under the page of some claims.

    Args:
        spread: whether baselines of the reference add to the standard deviations.
    """
    level, half = f"{100 * claims.level:g} %", f"{100 * claims.each_way:g} %"
    return [
        "How a verdict is reached. Each piece of evidence says which effect it predicts, and what "
        "size of an effect is relevant was written down before. It is supported if the predicted "
        "direction is shown. It is contradicted if the opposite is shown, or if an effect in the "
        "predicted direction as large as the relevant one is excluded: 'no relevant effect'. That "
        "goes first: an effect that is shown, and shown to be too small to matter, contradicts. "
        "Otherwise it is inconclusive.",
        "'Not better' and 'not worse' are supported if an improvement, or a decline, as large as "
        "the relevant one is excluded, and contradicted only if a larger one is shown. 'Equal' is "
        "supported by two one-sided tests (TOST) within that size either way, and contradicted if "
        "a larger difference is shown.",
        "A claim is supported if all that was tested of it is, and contradicted if any of it is. "
        "Arithmetic and numbers of parameters alone don't support a claim that rests on runs, too.",
        *_error(claims, level),
        *_relevant(claims),
        "Effects are in percent. Metrics that are positive are compared by their logarithms, so "
        "that an effect is a ratio within a seed and takes no mean as known; 1 % less is then a "
        "factor of 1 / 1.01. Shares, such as those of prompts or of runs, differences of two "
        "losses, and metrics that are not positive everywhere, are compared as they stand; the "
        "column 'Of' says what they are percentages of, and Fieller's interval that of a share.",
        "Intervals and p values take the differences between units, of logarithms, for normal; "
        "the unit is the baseline, or the seed where all seeds rest on one baseline. p values are "
        "one-sided. Hodges and Lehmann's estimate with its exact interval, which needs six units, "
        "and Fisher's sign-flip test do not take them for normal; they stand beside it and decide "
        "nothing. A skewness beyond ±1 says where to look at them: of simulated pages of twelve "
        "units on which every effect lies at its margin, 8 % had a false verdict at a true "
        "skewness of 1, 18 % at a skewness of 2, and no more than the level where effects lie "
        "elsewhere.",
        *([_SPREAD] if spread else []),
        f"Smallest detectable: the true effect that a test at {half}, not corrected, finds with "
        "80 % power at the observed standard deviation. Units for the relevant effect: how many "
        "would find an effect of that size, and exclude it where there is none, in the same way. "
        "Units and power for the paper's: the same for an effect of its own relative size.",
        "Divergence is compared by Fisher's exact test; that so many more runs diverge is excluded "
        "by the limits of Clopper and Pearson. Its interval is Newcombe's.",
    ]


def _error(claims: Claims, level: str) -> list[str]:
    half, compared = f"{100 * claims.level / 2:g} %", f"{100 * claims.each_way:g} %"
    count = len(claims.endpoints) * len(claims.recipes)
    columns = (("endpoint", claims.endpoints), ("recipe", claims.recipes))
    each = [name for name, own in columns if len(own) > 1]
    scope = f", for each {' and each '.join(each)} by itself" if each else ""
    lines = [
        f"What may be wrong. The chance that any verdict on a claim of this page is false is at "
        f"most {level}{scope}: {half} for verdicts for claims, {half} for those against. A verdict "
        f"for is false if what the claim says is not so; 'no relevant effect' is false if there is "
        f"one. Within a claim all pieces must pass without a correction (the intersection-union "
        f"test), or any one be refuted after Holm's; between the claims of the page Holm corrects. "
        f"The verdict on a piece is what the level left to its claim says of it; the chance is "
        f"that of claims. Tests of other metrics, such as divergence, count with "
        f"{metric_name(claims.primary)}."
    ]
    if claims.looks_here > 1:
        lines.append(
            f"Baselines were added since verdicts on fewer had left claims open. These verdicts "
            f"are the outcome of look {claims.looks_here}, and each look has an equal part of the "
            f"level: corrected p values are compared with {compared}."
        )
    if count > 1:
        lines.append(
            f"Over all {count} columns of verdicts together (endpoints and recipes), the chance of "
            f"any false one is at most {100 * min(1.0, count * claims.level):g} %, by adding up: "
            f"whoever picks a column after the fact should count with that."
        )
    if DECAYED in claims.recipes[1:]:
        lines.append(
            "On decayed baselines: the same evidence, where every variant continues from the same "
            "baseline whose learning rate was decayed to zero at the end. Evidence without runs is "
            "not repeated, nor what goes on with the baseline's own training, which that has ended."
        )
    return lines


def _relevant(claims: Claims) -> list[str]:
    entries = [e for e in (*claims.endpoints, *claims.further_metrics) if e.relevant_percent]
    told = [
        f"Relevant in {metric_name(entry.metric)}: {entry.relevant_percent:g} %. {entry.reason}"
        for entry in entries
    ]
    own: dict[tuple[float, str], list[str]] = {}
    for claim, number, evidence in claims.evidence():
        relevant = getattr(evidence, "relevant_percent", None)
        if relevant is not None:
            own.setdefault((relevant, evidence.reason), []).append(f"{claim.id}.{number}")
    return told + [
        f"Relevant in {', '.join(where)}: {relevant:g} %. {reason}"
        for (relevant, reason), where in own.items()
    ]
