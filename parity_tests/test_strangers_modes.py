"""Training and evaluation under every name, dropout, and that a check changes nothing of what it is given."""

import jax
import numpy as np
import pytest
import torch
from flax import linen, nnx
from test_strangers import Made, Net, checked, dense, failed, refused
from torch import nn
from torch.nn import functional as F


def torch_net(rate=0.3):
    class Dropping(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc, self.norm, self.out = nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.Linear(4, 2)
            self.drop = nn.Dropout(rate)

        def forward(self, x):
            return self.out(self.drop(torch.relu(self.norm(self.fc(x)))))

    return Dropping()


class Dropping(nnx.Module):
    def __init__(self, rate=0.3):
        rngs = nnx.Rngs(0)
        self.fc, self.out = nnx.Linear(3, 4, use_bias=False, rngs=rngs), nnx.Linear(4, 2, rngs=rngs)
        self.norm, self.drop = nnx.BatchNorm(4, momentum=0.9, rngs=rngs), nnx.Dropout(rate, rngs=rngs)

    def __call__(self, x):
        return self.out(self.drop(nnx.relu(self.norm(self.fc(x)))))


def linen_net(x, rate, train):
    """Layers made for a mode, as most write it."""
    x = linen.Dense(4, use_bias=False)(x)
    x = linen.relu(linen.BatchNorm(use_running_average=not train, momentum=0.9)(x))
    return linen.Dense(2)(linen.Dropout(rate, deterministic=not train)(x))


class Train(linen.Module):
    rate: float = 0.3

    @linen.compact
    def __call__(self, x, train):
        return linen_net(x, self.rate, train)


class Deterministic(linen.Module):
    @linen.compact
    def __call__(self, x, deterministic=True):
        return linen_net(x, 0.3, not deterministic)


class Averaging(linen.Module):
    @linen.compact
    def __call__(self, x, use_running_average=None):
        x = linen.relu(linen.BatchNorm(momentum=0.9)(linen.Dense(4, use_bias=False)(x), use_running_average))
        return linen.Dense(2)(linen.Dropout(0.3)(x, deterministic=use_running_average))


@pytest.mark.parametrize("port", [Dropping, Train, Deterministic, Averaging])
def test_every_name_of_the_mode(port):
    """In training only the running variance is another: that of Flax is biased."""
    result = checked(torch_net(), port(), only=("evaluation", "statistics"))
    assert failed(result) == {"statistics"}
    rows = {row.level: row for row in result}
    assert rows["statistics"].where.endswith("net.norm.running_var")
    assert rows["names"].left_out["net.norm.num_batches_tracked"] == "Flax does not count batches"
    assert "masks cannot be shared" in rows["names"].left_out["dropout"]


@pytest.mark.parametrize("port", [Dropping(0.1), Train(0.1), Train(0.0)], ids=["nnx", "linen", "none"])
def test_another_rate_of_dropout_is_refused(port):
    told = refused(torch_net(), port)
    assert "dropout, call by call: torch has the rates [0.3], the port [" in told


def test_dropout_as_a_function_and_a_layer_called_twice():
    def call(self, x):
        return F.dropout(self.drop(self.drop(self.fc(x))), 0.5, self.training)

    def ours(self, x):
        return self.half(self.drop(self.drop(self.fc(x))))

    rngs = nnx.Rngs(0)
    port = Made(ours, fc=dense(), drop=nnx.Dropout(0.3, rngs=rngs), half=nnx.Dropout(0.5, rngs=rngs))
    net = Net(call, fc=nn.Linear(3, 4), drop=nn.Dropout(0.3))
    checked(net, port).assert_ok()
    once = Made(lambda self, x: self.half(self.drop(self.fc(x))), fc=dense(), drop=port.drop, half=port.half)
    assert "[0.3, 0.3, 0.5], the port [0.3, 0.5]" in refused(net, once)


class Attends(linen.Module):
    rate: float

    @linen.compact
    def __call__(self, x, train):
        return linen.MultiHeadDotProductAttention(2, dropout_rate=self.rate)(x, deterministic=not train)


def test_dropout_inside_of_attention():
    net = Net(lambda self, x: self.a(x, x, x)[0], a=nn.MultiheadAttention(4, 2, dropout=0.2, batch_first=True))
    shape = {"x": (2, 3, 4)}
    checked(net, Attends(0.2), shape, only=("outputs", "losses")).assert_ok()
    ours = nnx.MultiHeadAttention(2, 4, decode=False, dropout_rate=0.1, rngs=nnx.Rngs(0))
    assert "torch has the rates [0.2], the port [0.1]" in refused(net, Made(lambda self, x: self.a(x), a=ours), shape)


def test_the_check_changes_nothing():
    """Neither values, types and mode of the models, nor what torch and Flax have everywhere."""
    net, port = torch_net(), Dropping()
    net.eval()
    before = {key: x.clone() for key, x in net.state_dict().items()}
    ours = jax.tree.map(np.asarray, nnx.state(port, (nnx.Param, nnx.BatchStat)))
    attributes = [sorted(vars(one)) for _, one in nnx.iter_modules(port)]
    calls = [nnx.Linear.__call__, nnx.BatchNorm.__call__, nnx.Dropout.__call__]
    checked(net, port, only=("outputs", "evaluation", "weights"))
    after = net.state_dict()
    assert all(torch.equal(after[key], x) and after[key].dtype == x.dtype for key, x in before.items())
    assert not net.training and net.drop.p == 0.3 and not net.fc._forward_hooks
    now = jax.tree.map(np.asarray, nnx.state(port, (nnx.Param, nnx.BatchStat)))
    same = jax.tree.map(lambda a, b: np.array_equal(a, b) and a.dtype == b.dtype, now, ours)
    assert all(jax.tree.leaves(same)) and attributes == [sorted(vars(one)) for _, one in nnx.iter_modules(port)]
    assert port.norm.use_running_average is False and port.drop.rate == 0.3
    assert calls == [nnx.Linear.__call__, nnx.BatchNorm.__call__, nnx.Dropout.__call__]
