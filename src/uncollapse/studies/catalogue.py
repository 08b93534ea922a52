"""Every study by name. What one needs is imported when it runs: naming them needs neither PyTorch nor Matplotlib."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from uncollapse.studies.study import Request, Result, Study

__all__ = ["STUDIES", "Later"]

LUCAS, WANG, DANG = "Lucas et al. 2019", "Wang & Ziyin 2022", "Dang et al. 2024"
ASKED = f"Asked for by the summary of {DANG}"


@dataclass(frozen=True)
class Later:
    """A study's function, by its module and name, imported when it is called."""

    module: str
    name: str

    def __call__(self, request: Request) -> Result:
        """Run the study."""
        return self.function(request)

    @property
    def function(self) -> Callable[[Request], Result]:
        """The function itself; an ImportError where an extra is missing."""
        result: Callable[[Request], Result] = getattr(import_module(f"uncollapse.studies.{self.module}"), self.name)
        return result


_LUCAS = (
    Study("lucas-fig-1", f"{LUCAS}, Figure 1",
          "The stability of a collapsed column of pPCA flips as σ² passes the eigenvalue it is pushed along.",
          Later("lucas_linear", "fig_1"), "mnist"),
    Study("lucas-fig-2", f"{LUCAS}, Figure 2",
          "A linear VAE's ELBO is pPCA's maximum likelihood at every width; "
          "at a fixed σ² more columns hurt in the end.",
          Later("lucas_linear", "fig_2"), "mnist"),
    Study("lucas-fig-3", f"{LUCAS}, Figure 3",
          "The analytic ELBO converges faster and higher than the sampled one at the same learning rate.",
          Later("lucas_linear", "fig_3"), "mnist"),
    Study("lucas-fig-4", f"{LUCAS}, Figure 4",
          "With a linear decoder no deeper encoder does better than the linear one.",
          Later("lucas_linear", "fig_4"), "mnist"),
    Study("lucas-table-1-fig-5-6", f"{LUCAS}, Table 1 (MNIST), Figures 5 and 6",
          "A large observation noise σ², fixed or as a start, leaves more latents collapsed.",
          Later("lucas_deep", "table_1"), "mnist"),
    Study("lucas-annealing", f"{LUCAS}, sections 3 and 6.2",
          "Once the full KL weight is back after annealing, the posterior collapses again.",
          Later("lucas_deep", "annealing"), "mnist"),
    Study("lucas-table-1-celeba", f"{LUCAS}, Table 1 (CelebA)",
          "As on MNIST: a large σ² collapses more latents, and its start matters even when it is learned.",
          Later("lucas_images", "celeba"), "images"),
)  # fmt: skip

_WANG = (
    *(
        Study(f"wang-fig-{figure}", f"{WANG}, Fig. {figure}",
              f"{kind} networks, regression in R⁵: loss and mean σ on the theory's line, collapse at its β",
              Later("wang_ziyin", f"fig_{figure}"))
        for figure, kind in ((1, "ReLU"), (4, "linear"), (5, "Tanh"))
    ),
    Study("wang-fig-2", f"{WANG}, Fig. 2", "loss and mean σ over β; complete collapse at about 5",
          Later("wang_ziyin_mnist", "fig_2"), "mnist"),
    Study("wang-fig-3", f"{WANG}, Fig. 3", "samples lose diversity in steps as β passes each ζ²",
          Later("wang_ziyin_mnist", "fig_3"), "mnist"),
    Study("wang-table-1", f"{WANG}, Table 1", "learned decoder variance: five regimes of β at the predicted η²",
          Later("wang_ziyin", "table_1")),
)  # fmt: skip

_DANG = (
    Study("dang-linear-vae", f"{DANG}, linear VAE, learnable Σ", "KL, σ and gains of each latent as in theory.",
          Later("dang_linear", "linear_vae"), "mnist"),
    Study("dang-linear-vae-fixed", f"{DANG}, linear VAE, fixed unequal Σ", "Narrow latents take the strong modes.",
          Later("dang_linear", "linear_vae_fixed"), "mnist"),
    Study("dang-cvae-linear", f"{DANG}, linear CVAE", "More latents collapse as β grows, where theory says.",
          Later("dang_linear", "cvae_linear"), "mnist"),
    Study("dang-cvae-correlation", f"{DANG}, CVAE, correlation", "More collapse with more x–y correlation.",
          Later("dang_linear", "cvae_correlation")),
    Study("dang-mhvae-linear", f"{DANG}, linear MHVAE", "β2 moves z1 and z2 as in theory.md section 4.",
          Later("dang_linear", "mhvae_linear"), "mnist"),
    Study("dang-theorems", f"{DANG}, theorem checks", "Trained singular values equal the closed form.",
          Later("dang_theorems", "theorems")),
    Study("dang-vae-relu", f"{DANG}, ReLU VAE", "Latents collapse with learned Σ and not with fixed Σ.",
          Later("dang_deep", "vae_relu"), "mnist"),
    Study("dang-cvae-relu", f"{DANG}, ReLU CVAE", "More collapse with larger β or η.",
          Later("dang_deep", "cvae_relu"), "mnist"),
    Study("dang-mhvae-relu", f"{DANG}, ReLU MHVAE", "β1 and β2 move z2 opposite ways; z1 does not collapse.",
          Later("dang_deep", "mhvae_relu"), "mnist"),
    Study("dang-cvae-digits", f"{DANG}, CVAE per digit", "Digits whose x tells more of y collapse more.",
          Later("dang_more", "cvae_digits"), "mnist"),
    Study("dang-mhvae-samples", f"{DANG}, ReLU MHVAE, samples", "Samples lose diversity as β1 and β2 grow.",
          Later("dang_more", "mhvae_samples"), "mnist"),
    Study("dang-mhvae-cnn", f"{DANG}, convolutional MHVAE", "z2 collapses as β2 grows, z1 does not.",
          Later("dang_more", "mhvae_cnn"), "mnist"),
)  # fmt: skip

_FURTHER = (
    Study("further-other-data", f"{ASKED}: other data", "The forecast holds on data of another correlation structure.",
          Later("further_data", "other_data")),
    Study("further-boundary", f"{ASKED}: the whole collapse boundary", "A map of collapse over β and σ², theory on it.",
          Later("further_boundary", "boundary")),
    Study("further-partly-learned", f"{ASKED}: partly learned Σ", "Training finds theory's assignment of modes.",
          Later("further", "partly_learned")),
    Study("further-first-three", f"{ASKED}: its first three experiments", "Correlation, Σ2 and β act as in theory.",
          Later("further", "first_three")),
)  # fmt: skip

STUDIES: tuple[Study, ...] = (*_LUCAS, *_WANG, *_DANG, *_FURTHER)
"""In the order of the papers."""
