"""Where the skip paths may start: from a linear solution that validation chose, for example regularised CCA."""

from typing import Any

import numpy as np


def with_linear_paths(
    params: Any,
    modality: str,
    x_NxP: np.ndarray,
    mean_P: np.ndarray,
    map_PxC: np.ndarray,
    *,
    scale: float = 1.0,
    rest: float = 0.05,
) -> Any:
    """Parameters of one skip autoencoder whose linear paths do what a given map does.

    The encoder's first C latent dimensions get the map; the others keep their random directions, shrunk, as room to
    learn in. The decoder's path is the least-squares way back. The branches beside both stay random.

    Args:
      params: {'vision': ..., 'language': ...} of skip-form autoencoders.
      modality: which of the two.
      x_NxP: training inputs.
      mean_P, map_PxC: the linear solution, C <= latent.
      scale: root mean square length that the latents of the training rows get.
      rest: length of the random rest relative to the map's part.
    """
    encoder, decoder = params[modality]["encoder"], params[modality]["decoder"]
    centred_NxP = x_NxP - mean_P
    main_PxC = map_PxC * (scale / _length(centred_NxP @ map_PxC))
    rest_PxR = np.asarray(encoder["linear"]["kernel"])[:, map_PxC.shape[1] :]
    if rest_PxR.size:
        rest_PxR = rest_PxR * (rest * scale / _length(centred_NxP @ rest_PxR))
    kernel_PxH = np.concatenate([main_PxC, rest_PxR], axis=1).astype(np.float32)
    z_NxH = centred_NxP @ kernel_PxH
    gram_HxH = z_NxH.T @ z_NxH
    gram_HxH += 1e-3 * np.trace(gram_HxH) / len(gram_HxH) * np.eye(len(gram_HxH), dtype=np.float32)
    back_HxP = np.linalg.solve(gram_HxH, z_NxH.T @ x_NxP).astype(np.float32)
    linear_in = {"kernel": kernel_PxH, "bias": (-mean_P @ kernel_PxH).astype(np.float32)}
    linear_out = {"kernel": back_HxP, "bias": x_NxP.mean(0).astype(np.float32)}
    changed = {"encoder": encoder | {"linear": linear_in}, "decoder": decoder | {"linear": linear_out}}
    return params | {modality: params[modality] | changed}


def _length(z_NxH: np.ndarray) -> float:
    return float(np.sqrt((z_NxH**2).sum(axis=1).mean()))
