"""Saved patches on the Hugging Face hub, by the hub's own client."""

import contextlib
import tempfile
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

from dmp.config import PatchConfig
from dmp.errors import DMPError, one_line
from dmp.files import write_text
from dmp.finite import check_tensors
from dmp.patching.loading import attach_saved

if TYPE_CHECKING:
    from torch import nn

    from dmp.patching.patch import Patch

FILE = "patch.safetensors"
CARD = "README.md"
_LOGIN = "log in with `hf auth login`, or set HF_TOKEN"


class Shared:
    """The part of a patch that is about handing it to others."""

    @classmethod
    def from_pretrained(
        cls: "type[Patch]",
        name_or_path: str | Path,
        model: "nn.Module",
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        resize: str | None = None,
        replace: bool = False,
    ) -> "Patch":
        """Attach a patch of the hub to ``model``, ready for sampling.

        Args:
            name_or_path: a repository of the hub, ``owner/name``; or a folder, or a file.
            model: the model that it was made for.
            revision: branch, tag or commit of the repository.
            token: of the hub, in place of that of ``hf auth login``; False sends none.
            resize: see :meth:`dmp.patching.Patch.load`.
            replace: see :func:`dmp.load_patch`.

        Raises:
            DMPError: there is no such repository, or no patch in it; it is not on this machine and
                cannot be fetched; or as :func:`dmp.load_patch`.
        """
        return attach_saved(cls, _find(name_or_path, revision, token), model, resize, replace)

    def save_pretrained(
        self: "Patch",
        folder: str | Path,
        *,
        repo_id: str = "user/patch",
        base_model: str | None = None,
        license: str | None = None,
    ) -> None:
        """Write the patch and a model card, which a repository of the hub consists of.

        A card that is there already is left as it is.

        Args:
            folder: gets ``patch.safetensors`` and ``README.md``.
            repo_id: of the repository, for the card.
            base_model: the model that the patch was made for, by its name on the hub.
            license: of the patch, in the hub's spelling, such as ``apache-2.0``.

        Raises:
            DMPError: the patch is not finite, or the files cannot be written.
        """
        check_tensors(self.state_dict(), "this patch", "its training has diverged")
        card = Path(folder) / CARD
        if not card.exists():
            write_text(card, self.model_card(repo_id, base_model, license))
        self.save(Path(folder) / FILE)

    def push_to_hub(
        self: "Patch",
        repo_id: str,
        *,
        base_model: str | None = None,
        license: str | None = None,
        private: bool | None = None,
        revision: str | None = None,
        create_pr: bool = False,
        commit_message: str = "Upload a patch",
        token: str | bool | None = None,
    ) -> str:
        """Upload the patch as one commit; a repository without a model card gets one.

        Args:
            repo_id: a repository of the hub, ``owner/name``, which is created if it does not exist.
            base_model: see :meth:`save_pretrained`.
            license: likewise.
            private: whether a new repository is private; None leaves it to the hub.
            revision: a branch, which is created if it does not exist.
            create_pr: whether to open a pull request in place of committing.
            commit_message: its first line.
            token: of the hub, in place of that of ``hf auth login``.

        Returns:
            The commit's address.

        Raises:
            DMPError: the patch is not finite, the name is none, this account may not write there,
                or the hub cannot be reached.
        """
        from huggingface_hub import HfApi

        api = HfApi(token=token)
        with tempfile.TemporaryDirectory() as folder, _hub(repo_id, revision, write=True):
            self.save_pretrained(folder, repo_id=repo_id, base_model=base_model, license=license)
            api.create_repo(repo_id, private=private, exist_ok=True)
            if revision is not None and not create_pr:
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            has_card = api.file_exists(repo_id, CARD, revision=revision)
            commit = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                ignore_patterns=[CARD] if has_card else None,  # somebody may have edited it
                commit_message=commit_message,
                revision=revision,
                create_pr=create_pr,
            )
        return commit.pr_url or commit.commit_url

    def model_card(
        self: "Patch",
        repo_id: str = "user/patch",
        base_model: str | None = None,
        license: str | None = None,
    ) -> str:
        """Return a model card in Markdown; arguments as for :meth:`save_pretrained`."""
        from huggingface_hub import ModelCardData

        head = ModelCardData(
            license=license,
            base_model=base_model,
            base_model_relation="adapter" if base_model else None,
            library_name="dmp-bench",
            tags=["diffusion", "diffusion-model-patching", "arxiv:2405.17825"],
        )
        return _CARD.format(
            head=head.to_yaml(),
            title=repo_id.rpartition("/")[2],
            name=repo_id,
            base=base_model or "the/base-model",
            facts="\n".join(f"| {key} | {value} |" for key, value in _facts(self).items()),
        )


def _find(name: str | Path, revision: str | None, token: str | bool | None) -> Path:
    """Return the file of a patch: one of this machine, or the hub's, fetched if need be."""
    local = Path(name).expanduser()
    if local.is_dir():
        if not (local / FILE).is_file():
            raise DMPError(
                f"{local} holds no {FILE}; accepted: a folder that a patch's save_pretrained() "
                f"wrote, or the path of a file that its save() wrote"
            )
        return local / FILE
    if local.is_file():
        return local
    from huggingface_hub import hf_hub_download

    with _hub(str(name), revision):
        return Path(hf_hub_download(str(name), FILE, revision=revision, token=token))


@contextlib.contextmanager
def _hub(name: str, revision: str | None, *, write: bool = False) -> Generator[None]:
    """Turn what the hub's client raises into one sentence."""
    try:
        yield
    except DMPError:
        raise
    except Exception as error:  # the client's own, and those of the HTTP client beneath it
        raise DMPError(_problem(name, revision, write, error)) from error


def _problem(name: str, revision: str | None, write: bool, error: Exception) -> str:
    from huggingface_hub import constants
    from huggingface_hub import errors as hub

    where = f"{constants.ENDPOINT}/{name}"
    status = error.response.status_code if isinstance(error, hub.HfHubHTTPError) else 0
    if isinstance(error, hub.HFValidationError):
        here = "" if write else "neither a file nor a folder on this machine, nor "
        return f"'{name}' is {here}{'no' if write else 'a'} name on the hub; accepted: owner/name"
    if write and (status in (401, 403, 404) or isinstance(error, hub.LocalTokenNotFoundError)):
        return f"{where}: this account may not write there; {_LOGIN}, with a token that may"
    if isinstance(error, hub.GatedRepoError):
        return f"{where} is gated: accept its terms there, and {_LOGIN}"
    if isinstance(error, hub.RepositoryNotFoundError):
        return (
            f"there is no '{name}', neither on this machine nor at {where}; check the name, or, if "
            f"it is private, {_LOGIN}"
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return f"{where} has no revision '{revision}'; accepted: a branch, tag or commit of it"
    if isinstance(error, hub.RemoteEntryNotFoundError):
        return f"{where} holds no {FILE}; accepted: a repository that a patch's push_to_hub() wrote"
    cause = error.__cause__ if isinstance(error, hub.LocalEntryNotFoundError) else error
    why = one_line(cause or error)
    if constants.HF_HUB_OFFLINE:
        why = "offline, since HF_HUB_OFFLINE is set"
    if write:
        return f"{where} cannot be written ({why}); nothing was lost: see to that, and push again"
    return (
        f"{where} cannot be read ({why}), and the cache {constants.HF_HUB_CACHE} does not hold it; "
        f"where there is a network, run `hf download {name} {FILE}` with the same HF_HOME"
    )


def _facts(attached: "Patch") -> dict[str, object]:
    """Return what a model card says of a patch."""
    described = attached.describe()
    backbone, config = described["backbone"], attached.config
    changed = [
        f"{option} = {getattr(config, option)}"
        for option, field in PatchConfig.model_fields.items()
        if getattr(config, option) != field.default
    ]
    return {
        "Made for a model with": f"{backbone['blocks']} blocks, {backbone['num_tokens']} tokens of "
        f"width {backbone['hidden_size']} in each",
        "Parameters": f"{sum(p.numel() for p in attached.parameters()):,}",
        "Options": ", ".join(changed) or "those of the paper",
        **({"Note": described["inferred"]} if "inferred" in described else {}),
    }


_CARD = """---
{head}
---

# {title}

A patch as in *Diffusion Model Patching via Mixture-of-Prompts*
([arXiv:2405.17825](https://arxiv.org/abs/2405.17825)): prompts, mixed by a gate that sees the
timestep, for a diffusion model whose own weights stay as they are.

| | |
|:---|:---|
{facts}

```sh
pip install dmp-bench diffusers
```

```python
from diffusers import DiffusionPipeline
from dmp import Patch

pipe = DiffusionPipeline.from_pretrained("{base}")
patched = Patch.from_pretrained("{name}", pipe.transformer)  # or pipe.unet
patched.remove()  # the model as it was, to the last bit
```
"""
