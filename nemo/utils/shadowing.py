# SPDX-FileCopyrightText: 2026 the streaming-ssl authors
# SPDX-License-Identifier: Apache-2.0

"""How a file that shadows a NeMo module builds on the module that it shadows."""

import functools
import inspect

# Also in nemo_streaming_ssl, which is not there in a fork into which the patches were written.
SUPPORTED = "supported are NeMo 2.5.3 to 3.0.0"


def inherit_module(base, namespace: dict, replacing: tuple = ()):
    """
    Make a shadowing module everything that the module it shadows is. Call it before the first definition:

        from nemo.collections.asr.modules.ssl_modules import _masking_base as base
        from nemo.utils.shadowing import inherit_module

        inherit_module(base, globals(), replacing=("RandomBlockMasking",))

        class RandomBlockMasking(base.RandomBlockMasking): ...

    Classes and functions that `base` defines get the public module name, so that pickles, `_target_` and `target`
    say what they say in plain NeMo. The ones in `replacing` are left out of `namespace` and keep the name of `base`:
    an original and its replacement then differ in a `repr` (`..._masking_base.RandomBlockMasking`), and each is
    found again by a pickle. Code inside `base` goes on using the originals. `inspect.getsource` shows each class where
    it is written.

    Args:
        base: the original module, imported as `_<name>_base`.
        namespace: `globals()` of the shadowing module; what it already defines stays.
        replacing: names in `base` that the shadowing module is going to define itself.
    """
    public = namespace["__name__"]
    missing = [name for name in replacing if not hasattr(base, name)]
    if missing:
        what = f"{public} replaces {', '.join(missing)}, which {base.__file__} does not have ({SUPPORTED})"
        raise ImportError(what, name=public, path=base.__file__)
    _passed_on_from(public, base)
    for name, value in vars(base).items():
        if name in replacing or (name.startswith("__") and name.endswith("__") and name != "__all__"):
            continue
        namespace.setdefault(name, value)
        _rename(value, base.__name__, public)


def _rename(value, old, new):
    # An object has the `__module__` of its class; `__qualname__` tells classes and functions from objects.
    if not hasattr(value, "__qualname__") or value.__module__ != old:
        return
    line = vars(value).get("__firstlineno__")
    value.__module__ = new
    if line is not None:
        # Python 3.13 forgets where a class begins when its module changes
        value.__firstlineno__ = line
    if isinstance(value, type):
        for inner in list(vars(value).values()):
            if isinstance(inner, type):
                _rename(inner, old, new)


def _passed_on_from(public, base):
    """Lets `inspect` find the source of classes that have the name of one module and are written in another."""
    bases = getattr(inspect.getfile, "bases_by_public_name", None)
    if bases is None:
        bases = {}
        inspect.getfile = _looks_into(bases, inspect.getfile)
    bases[public] = base


def _looks_into(bases, getfile):
    """
    `inspect.getfile` that knows classes which are passed on.

    Python takes `sys.modules[cls.__module__].__file__` for a class's file (up to 3.13, at least), without a hook:
    `__module__` must be the public name, and the public module has one file for NeMo's classes and for ours.
    `torch.package` replaces the same function for the same reason. Functions know their file from their code.
    """

    @functools.wraps(getfile)
    def getfile_of_class(object):
        base = bases.get(getattr(object, "__module__", None)) if inspect.isclass(object) else None
        if base is not None and _found_in(base, object.__qualname__) is object:
            return base.__file__
        return getfile(object)

    getfile_of_class.bases_by_public_name = bases
    return getfile_of_class


def _found_in(module, qualname):
    """The object of that dotted name, or None."""
    found = module
    for name in qualname.split("."):
        found = getattr(found, name, None)
    return found
