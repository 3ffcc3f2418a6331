"""Where an image is flattened into features or features become an image, torch counts channels first. A port in Flax
may count so too, or channels last, and then the weights on either side of that place have to follow."""

from jaxgen.parity.maps.algebra import Fold
from jaxgen.parity.maps.context import FEATUREWISE, Context, orders
from jaxgen.parity.maps.probe import settle


def folds(context: Context, settled):
    """-> {torch path: Fold} of what layers are given, and of what they give, where JAX has another order of features;
    {torch path: reason}. Nothing is asked about the layers that are `settled`."""
    ins: dict[str, Fold | None] = {}
    outs: dict[str, Fold | None] = {}
    reasons: dict[str, str] = {}
    flat = [
        path
        for path in context.trace.calls
        if path in context.pairs.partner.keys() - settled and features(context, path)
    ]
    given(context, flat, ins, outs, reasons)
    gives(context, flat, ins, outs, reasons)
    return ins, outs, reasons


def given(context, flat, ins, outs, reasons):
    """From the first layer to the last: in which order do its features arrive?"""
    seen = None
    for path in flat:
        options = [None, *orders(context.trace, features(context, path)[0])]
        if len(options) > 1:
            seen = seen or context.run(outs)
            context.visible([context.pairs.partner[path]])
            choice = settle([context.error(path, seen, option) for option in options], closest=True)
            ins[path] = options[choice.taken]
            reasons[path] = told("given", ins[path], choice)
        if ins.get(path) and keeps(context, path):
            outs[path], seen = ins[path], None


def gives(context, flat, ins, outs, reasons):
    """From the last layer to the first: in which order do the layers behind it need its features?"""
    for path in reversed(flat):
        options = [None, *orders(context.trace, features(context, path)[1])]
        if len(options) > 1 and not outs.get(path):
            context.visible([context.pairs.partner[path]])
            choice = context.choose([context.run(outs | {path: option}) for option in options], ins, closest=True)
            outs[path] = options[choice.taken]
            if keeps(context, path):
                ins[path] = outs[path]
                reasons.pop(path, None)
            reasons[path] = "; ".join(filter(None, [reasons.get(path), told("gives", outs[path], choice)]))


def features(context, path):
    """The numbers of features that a layer of feature vectors is given and gives; None for another layer."""
    taken, result = context.trace.calls[path][0]
    if context.pairs.theirs[path].kind in ("linear", *FEATUREWISE) and taken and taken[0].ndim == result.ndim == 2:
        return taken[0].shape[1], result.shape[1]
    return None


def keeps(context, path):
    return context.pairs.theirs[path].kind in FEATUREWISE


def told(verb, fold, choice):
    what = f"a flattened {fold.shape}, channels last" if fold else "features in torch's order"
    return f"{verb} {what}: {choice.text}"
