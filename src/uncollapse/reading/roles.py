"""What people call the arguments of a VAE's loss, and its total."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from uncollapse.errors import ObjectiveError, kind_and_line

__all__ = ["LEARNED", "SPREADS", "TOTALS", "plain_name", "role_of", "roles_of", "unknown_arguments"]

NAMES = {
    "recon": """recon reconx xrecon reconstruction reconstructions recons xhat hatx xrec recx rec reconbatch batchrecon
        output out pred preds prediction predictions ypred decoded logits reconlogits xlogits xtilde yhat decoderoutput
        generated reconstructedx reconstructed xreconstructed xprime recondata xdecoded xdecodedmean rate rates xpred
        pxrate reconimgs reconimages reconimg decx mux lograte lograter probs xprobs outputs""",
    "x": """x input inputs target targets data ytrue y image images original orig batch xtrue img imgs labels tokens
        counts xin gt groundtruth origdata reference""",
    "mean": "mu mean zmean means qmean muz zmu latentmean mus loc qmu meanz encmean qzm qzmean",
    "log variance": """logvar logvariance zlogvar logvarz logsigma2 logsigmasquared lnvar logvars lv logsigmasq
        zlogvariance logv qlogvar zlogsigmasq logcov logcovariance zlogsigma2 lnsigma2 qzlogvar""",
    "log std": "logstd logsigma zlogstd logscale zlogsigma logsigmas lnsigma logstddev",
    "std": "std sigma sigmas zstd stddev scale sd zsigma qstd encstd",
    "variance": "var variance sigma2 zvar qvar sigmasq qzv qzvar",
    "posterior": "q posterior qz qzx qzgivenx dist qdist latentdist",
    "z": "z zsample sample latent latents zs zsampled",
    "step": "step globalstep epoch it iteration iter niter currentstep t steps currentepoch",
    "decoder log variance": """logvarx xlogvar logvarrecon reconlogvar declogvar decoderlogvar outputlogvar xhatlogvar
        logvarxhat logeta2""",
    "decoder log std": """logsigmax xlogsigma logsigmarecon reconlogsigma xlogscale logscalex declogsigma declogstd
        xlogstd logstdx declogscale logeta""",
    "decoder std": """sigmax xsigma xstd stdx xscale scalex sigmarecon reconsigma reconstd decstd decsigma obsstd
        noisestd decoderstd eta""",
    "decoder variance": "varx xvar reconvar obsvar noisevar decvar decodervar decodervariance sigma2x xsigma2 eta2",
    "dispersion": "theta logtheta pxr logpxr dispersion logdispersion inversedispersion totalcount overdispersion",
}
"""Without underscores and capitals."""

SPREADS = ("log variance", "log std", "std", "variance", "posterior")

OF_SPREAD = "logvar, or std for σ after its softplus"

LEARNED: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "decoder log variance": lambda v: v,
    "decoder log std": lambda v: v / 2,
    "decoder std": lambda v: np.exp(v / 2),
    "decoder variance": np.exp,
    "dispersion": np.exp,
}
"""Arguments that stand for learned numbers, and what is handed over for their logarithm."""

TOTALS = ("loss", "totalloss", "total", "objective", "elboloss", "negelbo", "vaeloss", "nelbo", "trainloss")
"""Keys under which a dictionary or named tuple holds the total."""

_ROLES = {name: role for role, names in NAMES.items() for name in names.split()}


def plain_name(name: str) -> str:
    """Without underscores and capitals.

    Examples
    --------
    >>> plain_name("Recon_X")
    'reconx'
    """
    return name.lower().replace("_", "")


def role_of(name: str) -> str | None:
    """What an argument of this name means.

    Examples
    --------
    >>> role_of("x_hat"), role_of("logvar"), role_of("gamma")
    ('recon', 'log variance', None)
    """
    return _ROLES.get(plain_name(name))


def roles_of(function: Callable[..., Any], settings: dict[str, Any], name: str) -> dict[str, str]:
    """Arguments to fill → their roles; {"*": "*"} for a loss of plain *args in the usual order.

    Parameters
    ----------
    function : callable
    settings : dict
        Arguments that are told.
    name : str
        Of the function, for errors.

    Raises
    ------
    ObjectiveError
        An argument without a default that no name tells.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError) as error:
        raise ObjectiveError(f"{name}: its arguments cannot be read: {kind_and_line(error)}") from error
    asked = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD) and p.name not in settings]
    meant = _told_apart([(p.name, role_of(p.name)) for p in asked])
    roles: dict[str, str] = {}
    unknown = []
    for p in asked:
        role = meant[p.name]
        is_set = p.default is not p.empty
        if role is not None and role not in roles.values() and not (is_set and role in LEARNED):
            roles[p.name] = role
        elif not is_set:
            unknown.append(p.name)
    if not roles and any(p.kind is p.VAR_POSITIONAL for p in parameters):
        return {"*": "*"}
    if unknown:
        raise unknown_arguments(name, unknown, [p.name for p in parameters], _not_there(roles))
    return roles


def unknown_arguments(name: str, unknown: list[str], takes: list[str], missing: Sequence[str] = ()) -> ObjectiveError:
    """What is said of arguments that nobody told; `missing` are names of tensors that the others are not."""
    asked = f"{name}: asks for {', '.join(unknown)}, which nobody told (it takes {', '.join(takes)})"
    if not missing:
        return ObjectiveError(f"{asked}; say each (--set NAME=VALUE)")
    return ObjectiveError(
        f"{asked}; rename a tensor to what it is ({', '.join(missing)}), and say a number (--set NAME=VALUE)"
    )


def _not_there(roles: dict[str, str]) -> list[str]:
    """Names for the tensors of a loss that no argument is known to be."""
    there = set(roles.values())
    names = {"recon": {"recon"}, "x": {"x"}, "mu": {"mean", "posterior"}, OF_SPREAD: set(SPREADS)}
    return [name for name, of in names.items() if not of & there]


def _told_apart(named: list[tuple[str, str | None]]) -> dict[str, str | None]:
    """Of two means the one of z is the posterior's, of two spreads the one after its mean; the others the decoder's."""
    roles = dict(named)
    names = [name for name, _ in named]
    means = [name for name in names if roles[name] == "mean"]
    if len(means) > 1 and "recon" not in roles.values():
        plain = [name for name in means if not _of_z(name)]
        if len(plain) == 1:
            roles[plain[0]] = "recon"
            means.remove(plain[0])
    spreads = [name for name in names if roles[name] in SPREADS]
    after = [name for name in spreads if means and names.index(name) > names.index(means[0])]
    posterior = next((name for name in spreads if _of_z(name)), next(iter(after or spreads), None))
    for name in spreads:
        if name != posterior and not _of_z(name) and roles[name] != "posterior":
            roles[name] = f"decoder {roles[name]}"
    return roles


def _of_z(name: str) -> bool:
    plain = plain_name(name)
    return plain.startswith(("z", "q", "enc", "latent", "meanz", "muz")) or plain.endswith("z")
