"""What stands in the table about a piece of evidence, whatever was found."""

from dmp.claims.pieces import Evidence


def describe(evidence: Evidence) -> dict[str, str]:
    """Return the columns ``test``, ``task``, ``variant``, ``against`` and ``predicts``."""
    fields = {
        "test": evidence.test,
        "task": getattr(evidence, "task", ""),
        "variant": getattr(evidence, "variant", ""),
        "against": getattr(evidence, "against", None) or "",
        "predicts": _prediction(evidence),
    }
    match evidence.test:
        case "trend":
            fields["variant"] = " → ".join(evidence.variants)
        case "interaction":
            fields["variant"] = evidence.both
            fields["against"] = f"{evidence.first} + {evidence.second} − {evidence.neither}"
        case "parameters":
            fields["variant"] = ", ".join(evidence.backbones)
        case "arithmetic":
            fields["variant"] = f"{evidence.start} → {evidence.end}"
    return fields


def _prediction(evidence: Evidence) -> str:
    match evidence.test:
        case "difference" if evidence.predicts.startswith("not-"):
            return f"{evidence.predicts.replace('-', ' ')} by more than {_margin(evidence)}"
        case "difference":
            return evidence.predicts
        case "equivalence":
            return f"equal within {_margin(evidence)}"
        case "speed":
            return f"{evidence.stage} not slower by more than {_margin(evidence)}"
        case "trend":
            return f"{evidence.predicts} at each step"
        case "interaction":
            return f"{evidence.predicts} together than the sum of both alone"
        case "entropy":
            return "rises with the timestep" + (", more than against" if evidence.against else "")
        case "divergence":
            return "diverges more often"
        case "arithmetic":
            return f"{evidence.claimed_percent} %"
        case "parameters":
            low, high = evidence.claimed
            return f"{low} %" if low == high else f"{low} to {high} %"
    return ""


def _margin(evidence: Evidence) -> str:
    return f"{evidence.margin_percent:g} %"
