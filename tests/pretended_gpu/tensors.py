"""A tensor that says that it lies on the GPU."""

import collections
import copy

import torch

CUDA = torch.device("cuda", 0)
CPU = torch.device("cpu")
CARRIER = torch.device("lazy", 0)  # what C++ believes

NAME = "pretended GPU"
MIXED = "Expected all tensors to be on the same device, but found at least two devices, {} and {}!"
NO_ARRAY = (
    "can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() to copy the tensor to "
    "host memory first."
)


def is_gpu(device) -> bool:
    """Whether an operation that is asked for ``device`` makes a tensor on the pretended GPU."""
    device = torch.device(device)
    if device.type == "cuda" and (device.index or 0) > 0:
        raise torch.AcceleratorError("CUDA error: invalid device ordinal")
    return device.type in ("cuda", CARRIER.type)


# ---------------------------------------------------------------- a tensor


class OnGpu(torch.Tensor):
    """A tensor that says that it lies on cuda:0; ``_data`` lies on the processor."""

    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, data):
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            data.size(),
            strides=data.stride(),
            storage_offset=data.storage_offset(),
            dtype=data.dtype,
            device=CARRIER,
        )
        made._data = data
        return made

    @classmethod
    def __torch_dispatch__(cls, func, kinds, args=(), kwargs=None):
        from .operations import operate  # which makes such tensors

        return operate(func, args, kwargs or {})

    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, new):
        if not isinstance(new, OnGpu):
            raise RuntimeError(
                "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have "
                "incompatible tensor type."
            )
        if (new.shape, new.stride(), new.dtype) != (self.shape, self.stride(), self.dtype):
            raise NotImplementedError(f"The {NAME} cannot give .data another shape.")
        self._data = new._data

    def to(self, *args, **kwargs):
        """As torch's: itself, if it is there already."""
        args = [_carried(a) if i == 0 else a for i, a in enumerate(args)]
        if "device" in kwargs:
            kwargs["device"] = _carried(kwargs["device"])
        return super().to(*args, **kwargs)

    def cuda(self, device=None, non_blocking=False, **kwargs):
        return self.to(CUDA if device is None else device)

    def get_device(self):
        return 0

    def type(self, dtype=None, non_blocking=False):
        if dtype is None:
            return self._data.type().replace("torch.", "torch.cuda.", 1)
        if isinstance(dtype, str) and not dtype.startswith("torch.cuda."):
            return self.cpu().type(dtype)
        if isinstance(dtype, str):
            return OnGpu(self._data.type(dtype.replace(".cuda", "", 1)))
        return self.to(dtype)

    def numpy(self, *, force=False):
        if not force:
            raise TypeError(NO_ARRAY)
        return self.detach().cpu().numpy()

    def __array__(self, *args, **kwargs):
        raise TypeError(NO_ARRAY)

    def __dlpack__(self, *args, **kwargs):
        raise NotImplementedError(f"The {NAME} has no memory that others could read.")

    def tolist(self):
        return self.detach().cpu().tolist()

    def untyped_storage(self):
        return self._data.untyped_storage()

    def data_ptr(self):
        return self._data.data_ptr()

    def record_stream(self, stream):
        pass

    def __format__(self, spec):
        return self.detach().cpu().__format__(spec)

    def __repr__(self, *, tensor_contents=None):
        text = repr(self._data)
        marks = [f"device='{CUDA}'"]
        if self.grad_fn is not None:
            marks.append(f"grad_fn=<{type(self.grad_fn).__name__}>")
        elif self.requires_grad:
            marks.append("requires_grad=True")
        text = f"{text[:-1]}, {', '.join(marks)})"
        return f"Parameter containing:\n{text}" if getattr(self, "_is_param", False) else text

    def __deepcopy__(self, memo):
        if id(self) not in memo:
            if not self.is_leaf:
                raise RuntimeError("Only Tensors created explicitly by the user support deepcopy")
            made = OnGpu(self._data.clone()).requires_grad_(self.requires_grad)
            others = {k: v for k, v in self.__dict__.items() if k != "_data"}
            made.__dict__.update(copy.deepcopy(others, memo))
            made.grad = copy.deepcopy(self.grad, memo)
            memo[id(self)] = made
        return memo[id(self)]

    def __reduce_ex__(self, protocol):
        """Saved as a tensor of a GPU is: with the place from which it came."""
        storage = torch.TypedStorage(
            wrap_storage=self._data.untyped_storage(), dtype=self.dtype, _internal=True
        )
        storage._fake_device = CUDA
        layout = (self.storage_offset(), tuple(self.shape), self.stride())
        hooks = collections.OrderedDict()
        return torch._utils._rebuild_tensor_v2, (storage, *layout, self.requires_grad, hooks)


def _carried(device):
    """``device`` as C++ must hear it; anything that is no CUDA device stays as it is."""
    if isinstance(device, bool) or not isinstance(device, str | int | torch.device):
        return device
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    return CARRIER if device.type == "cuda" and is_gpu(device) else device


def on_every(function, value):
    """``value``, an argument or a result of an operation, with every tensor mapped."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, list | tuple):
        return type(value)([on_every(function, v) for v in value])
    return value


def inside(tensor):
    return tensor._data if isinstance(tensor, OnGpu) else tensor
