"""What people call the arguments of a VAE's loss, and its total."""

from __future__ import annotations

__all__ = ["SPREADS", "TOTALS", "plain_name", "role_of"]

NAMES = {
    "recon": """recon reconx xrecon reconstruction reconstructions recons xhat hatx xrec recx rec reconbatch batchrecon
        output out pred preds prediction predictions ypred decoded logits reconlogits xlogits xtilde yhat decoderoutput
        generated reconstructedx reconstructed xreconstructed xprime recondata xdecoded xdecodedmean rate rates xpred
        reconimgs reconimages reconimg decx mux lograte lograter probs xprobs outputs""",
    "x": """x input inputs target targets data ytrue y image images original orig batch xtrue img imgs labels tokens
        counts xin gt groundtruth origdata reference""",
    "mean": "mu mean zmean means qmean muz zmu latentmean mus loc qmu meanz encmean",
    "log variance": """logvar logvariance zlogvar logvarz logsigma2 logsigmasquared lnvar logvars lv logsigmasq
        zlogvariance logv qlogvar zlogsigmasq logcov logcovariance zlogsigma2 lnsigma2""",
    "log std": "logstd logsigma zlogstd logscale zlogsigma logsigmas lnsigma logstddev",
    "std": "std sigma sigmas zstd stddev scale sd zsigma qstd encstd",
    "variance": "var variance sigma2 zvar qvar sigmasq",
    "posterior": "q posterior qz qzx qzgivenx dist qdist latentdist",
    "z": "z zsample sample latent latents zs zsampled",
    "step": "step globalstep epoch it iteration iter niter currentstep t steps currentepoch",
}
"""Without underscores and capitals."""

SPREADS = ("log variance", "log std", "std", "variance", "posterior")

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
