"""What torch multiplies by where numerics are portable: oneDNN's kernels, in place of MKL's.

MKL's compatible path, the one that computes alike on every processor, multiplies at a third of the
speed of its others; oneDNN's AVX2 kernels are pinned as well, and take half as long.
"""

import torch
from torch import Tensor

# torch forgets an implementation with the library that gave it.
_LIBRARIES: list = []
# From so many tokens on attention is computed by products of whole matrices; of fewer, torch's own
# kernel has less to do between them.
WHOLE_MATRICES = 128


def pin_products() -> None:
    """Let torch multiply float32 matrices by oneDNN in this process, and attend to many tokens so.

    Gradients follow, since these are products, too. Float64, batches of matrices, and attention to
    fewer than :data:`WHOLE_MATRICES` tokens or with a mask stay with MKL.
    """
    if _LIBRARIES:
        return
    linear = torch.ops.mkldnn._linear_pointwise.default  # x, w, b, ... -> x w^T + b

    def dense(matrix: Tensor) -> Tensor:
        return (
            matrix if matrix.is_contiguous() or matrix.mT.is_contiguous() else matrix.contiguous()
        )

    def product(a: Tensor, b: Tensor, bias: Tensor | None = None) -> Tensor:
        a, b = dense(a), dense(b)
        if bias is None and not a.is_contiguous() and len(a) > b.shape[1]:
            # A gradient of weights; the smaller factor as the left one is a third faster.
            return linear(b.mT, a, None, "none", [], "").mT.contiguous()
        return linear(a, b.mT, bias, "none", [], "")

    def known(*matrices: Tensor) -> bool:
        return all(m.dtype == torch.float32 and m.numel() for m in matrices)

    def mm(a: Tensor, b: Tensor) -> Tensor:
        return product(a, b) if known(a, b) else torch.bmm(a[None], b[None])[0]

    def addmm(bias: Tensor, a: Tensor, b: Tensor, *, beta: float = 1, alpha: float = 1) -> Tensor:
        if known(bias, a, b) and bias.ndim == 1 and beta == alpha == 1:
            return product(a, b, bias.contiguous())
        return beta * bias + alpha * torch.mm(a, b)

    name = "_scaled_dot_product_flash_attention_for_cpu"
    forward = torch.library.get_kernel(f"aten::{name}", "CPU")
    backward = torch.library.get_kernel(f"aten::{name}_backward", "CPU")
    here = torch._C.DispatchKeySet(torch._C.DispatchKey.CPU)

    def whole(q: Tensor, k: Tensor, dropout: float, causal: bool, mask: Tensor | None) -> bool:
        plain = mask is None and not causal and not dropout and known(q, k)
        return plain and min(q.shape[-2], k.shape[-2]) >= WHOLE_MATRICES

    def matrices(x: Tensor) -> Tensor:
        return x.reshape(-1, *x.shape[-2:]).contiguous()

    def times(a: Tensor, b: Tensor) -> Tensor:
        return linear(a, b.mT, None, "none", [], "")

    # One matrix after another: it is still in the cache when it is needed again. What comes second,
    # torch keeps for the gradient alone; here it is the probabilities themselves.
    def attend(q, k, v, dropout_p=0.0, is_causal=False, *, attn_mask=None, scale=None):
        if not whole(q, k, dropout_p, is_causal, attn_mask):
            return forward.call_boxed(
                here, q, k, v, dropout_p, is_causal, attn_mask=attn_mask, scale=scale
            )
        scale = q.shape[-1] ** -0.5 if scale is None else scale
        left, right, values = matrices(q) * scale, matrices(k).mT, matrices(v)
        out, kept = torch.empty_like(left), torch.is_grad_enabled()
        weights = left.new_empty(len(left) if kept else 1, left.shape[1], right.shape[2])
        for i in range(len(left)):
            each = weights[i if kept else 0]
            torch.softmax(times(left[i], right[i]), -1, out=each)
            out[i] = times(each, values[i])
        return out.reshape(q.shape), weights

    def attend_backward(
        grad, q, k, v, out, weights, dropout_p, is_causal, *, attn_mask=None, scale=None
    ):
        if not whole(q, k, dropout_p, is_causal, attn_mask):
            return backward.call_boxed(
                here, grad, q, k, v, out, weights, dropout_p, is_causal,
                attn_mask=attn_mask, scale=scale,
            )  # fmt: skip
        scale = q.shape[-1] ** -0.5 if scale is None else scale
        left, right, values, grads = matrices(q) * scale, *map(matrices, (k, v.mT, grad))
        grad_q, grad_k, grad_v = map(torch.empty_like, (left, right, right))
        for i in range(len(left)):
            change = times(grads[i], values[i])
            change = torch._softmax_backward_data(change, weights[i], -1, change.dtype)
            grad_q[i] = times(change, right[i])
            grad_k[i] = times(change.mT, left[i])
            grad_v[i] = times(weights[i].mT, grads[i])
        return (grad_q * scale).reshape(q.shape), grad_k.reshape(k.shape), grad_v.reshape(v.shape)

    library = torch.library.Library("aten", "IMPL")
    for operator, function in {
        "mm": mm, "addmm": addmm, name: attend, f"{name}_backward": attend_backward,
    }.items():  # fmt: skip
        library.impl(operator, function, "CPU")
    _LIBRARIES.append(library)
