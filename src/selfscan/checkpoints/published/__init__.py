"""Checkpoints that others published: one file a layout, from their names of tensors to ours."""

from __future__ import annotations

from selfscan.checkpoints.published.genesis_nnunet import read_genesis_nnunet
from selfscan.checkpoints.published.gvsl import read_gvsl
from selfscan.checkpoints.published.layout import Reader
from selfscan.checkpoints.published.models_genesis import read_models_genesis
from selfscan.checkpoints.published.nnssl import read_nnssl
from selfscan.checkpoints.published.swin_unetr import read_swin_unetr
from selfscan.checkpoints.published.transvw import read_transvw
from selfscan.checkpoints.published.vox2vec import read_vox2vec

READERS: dict[str, Reader] = {
    "models-genesis": read_models_genesis,
    "models-genesis-nnunet": read_genesis_nnunet,
    "transvw": read_transvw,
    "vox2vec": read_vox2vec,
    "gvsl": read_gvsl,
    "swin-unetr": read_swin_unetr,
    "nnssl": read_nnssl,
}
