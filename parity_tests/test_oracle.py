"""The oracle, against closed forms that were worked out apart from it (numbers as printed there)."""

import json
from typing import get_args

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tool import command

from jaxgen import oracle
from jaxgen.diffusion import likelihood, multistep, prediction, samplers, schedules
from jaxgen.errors import UserError
from jaxgen.oracle import cases, checks, controls, exact, floors, identities, orders

LEFT = schedules.linear()
COLUMNS = "ancestral, small", "ancestral, large", "ddim", "ddim, linspace", "ddim, eta 1"
GAUSSIAN = """
1   1000  .99552367  .99995000  .99812429  .99812429  .99552367
1   500   .99123217  .99995000  .99630217  .99629893  .99123217
1   100   .95999957  .99995000  .98185083  .98167494  .95999957
1   50    .92597727  .99995000  .96407927  .96338255  .92597727
1   20    .84304562  .99995000  .91253171  .90819779  .84304562
1   10    .74041025  .99995000  .83169588  .81458618  .74041025
.5  1000  .49611008  .50075151  .49849528  .49849528  .49611008
.5  500   .49253109  .50160473  .49708762  .49708701  .49253109
.5  100   .46825588  .50848983  .48598057  .48584759  .46825588
.5  50    .44412286  .51722917  .47243911  .47191511  .44412286
.5  20    .39146445  .54406308  .43373442  .43045168  .39146445
.5  10    .33326311  .58902541  .37412849  .36161172  .33326311
2   1000  1.99368417 1.99764093 1.99685222 1.99685222 1.99368417
2   500   1.98748378 1.99531049 1.99385269 1.99383811 1.98748378
2   100   1.94021383 1.97679833 1.97002063 1.96975050 1.94021383
2   50    1.88544137 1.95399430 1.94062749 1.93951350 1.88544137
2   20    1.74100646 1.88794011 1.85495861 1.84785380 1.74100646
2   10    1.54573898 1.78629111 1.71987949 1.69161213 1.54573898"""
SOLVERS = """
9    .30099   .27816    .15724    1.6357e-2
18   .15391   .055278   .062309   9.698e-4
36   .077982  .012222   .013111   5.479e-5
72   .039235  .0028789  .0029756  3.2325e-6
144  .019677  6.9900e-4 7.1016e-4 1.9595e-7
288  .0098529 1.7224e-4 1.7356e-4 1.2057e-8
576  .0049301 4.2752e-5 4.2907e-5 7.4758e-10
1152 .0024659 1.0650e-5 1.0667e-5 4.6537e-11"""
FLOW_STEPS = 1, 2, 5, 10, 20, 50, 100, 1000
FLOW = {
    (1, 1): "0 .5 .77050019 .87898438 .93769948 .97461619 .98722784 .99871543",
    (1, 2): "- - .99478933 .99933495 .99991645 .99999465 .99999933 -",
    (0.5, 1): "0 .2 .36923077 .4307826 .4642475 .48539674 .49264548 .49925967",
    (0.5, 2): "- - .50437278 .50171991 .50050838 .50008881 .50002282 -",
    (2, 1): "0 .8 1.47692308 1.72313042 1.85699 1.94158695 1.97058191 1.9970387",
    (2, 2): "- - 1.9452182 1.98828067 1.99735479 1.99960544 1.9999038 -",
}


def near(printed):
    """Half a unit of the last digit."""
    digits = printed.partition("e")[0].partition(".")[2]
    exponent = int(printed.partition("e")[2] or 0)
    return pytest.approx(float(printed), rel=1e-14, abs=0.51 * 10.0 ** (exponent - len(digits)))


def table(text):
    return [line.split() for line in text.strip().splitlines()]


@pytest.fixture(scope="module")
def told(tmp_path_factory):
    """What the command writes, in a user's float32; with one count of steps, and fewer draws."""
    path = tmp_path_factory.mktemp("oracle") / "told.json"
    with jax.enable_x64(False), pytest.MonkeyPatch.context() as patch:
        patch.setattr(cases, "STEPS", (50,))
        patch.setattr(checks, "DRAWS", 2**16)
        assert command("oracle", "--json", path) == 0
    told = json.loads(path.read_text())
    assert told["ok"] and list(told["tables"]) == list(checks.TABLES)
    return told["tables"]


def test_samplers_of_a_table(told):
    found = {(row["name"], row["at"]["std"], row["at"]["steps"]): row for row in told["samplers"]}
    assert len(found) == len(cases.CASES) * 3 and all(row["error"] < 1e-12 for row in found.values())
    for std, steps, *values in table(GAUSSIAN):
        for name, value in zip(COLUMNS, values, strict=True):
            case = cases.CASES[name]
            assert case.truth(case.visited(int(steps)), 0.0, float(std)).std == near(value)
            if (name, float(std), int(steps)) in found:
                assert found[name, float(std), int(steps)]["found"] == near(value)


@pytest.mark.parametrize("name, steps", [("ancestral, large", 1000), ("ddim, linspace", 1000), ("dpmpp_2m_sde", 10)])
def test_other_numbers_of_steps(name, steps):
    found, truth = cases.judged(cases.CASES[name], steps)
    assert np.allclose(found, truth, rtol=1e-12, atol=0)


def test_flow(told):
    found = {(row["name"], row["at"]["std"], row["at"]["steps"]): row["found"] for row in told["samplers"]}
    for (std, order), values in FLOW.items():
        name = {1: "flow, euler", 2: "flow, heun"}[order]
        for steps, value in zip(FLOW_STEPS, values.split(), strict=True):
            if value != "-":
                assert exact.flow(np.linspace(1, 0, steps + 1), 0.0, std, order).std == near(value)
                assert (name, std, steps) not in found or found[name, std, steps] == near(value)


@pytest.mark.parametrize("column, solver", list(enumerate(orders.ORDERS, 1)))
def test_orders(column, solver, told):
    lines = table(SOLVERS)
    points = [int(line[0]) for line in lines]
    for found, line in zip(orders.errors(solver, "gaussian", points), lines, strict=True):
        # the last digits of the smallest are those of float64
        assert found == near(line[column]) or abs(found - float(line[column])) < 5e-14
    fitted = [row["found"] for row in told["orders"] if row["name"] == solver]
    assert len(fitted) == 2 and np.allclose(fitted, orders.ORDERS[solver], rtol=0, atol=0.1)


def test_karras():
    printed = """80 57.586 40.7856 28.3746 19.3525 12.9101 8.40094 5.31519 3.25682 1.92334 1.08817 .585348 .296442
        .139516 .0599473 .0229345 .00752802 .002"""
    assert list(schedules.karras(18)) == [near(value) for value in printed.split()]
    for steps, value in ((18, ".5276246370"), (36, ".5060970919"), (72, ".5014256262")):
        assert exact.karras(np.append(schedules.karras(steps), 0.0), 0.0, 0.5).std == near(value)
    found, truth = cases.judged(cases.CASES["heun"], 18, (0.5,))
    assert found.std[0] == near(".5276246370") and np.allclose(found, truth, rtol=1e-12)
    told = identities.preconditioning(0.5)
    assert list(told) == [near(value) for value in (".5", ".3535533906", "1.414213562", "-.1732867951", "8")]


def test_schedules():
    for i, value in ((1, ".9999"), (250, ".5240853738"), (500, ".07858724288"), (750, ".003350550439")):
        assert LEFT[i - 1] == near(value)
    assert LEFT[-1] == near("4.035829765e-5") and LEFT[-1] ** 0.5 == near(".00635281809")
    assert np.log(LEFT[-1]) == near("-10.1177") and np.argmax(LEFT < 0.5) == 259
    assert schedules.linear(100)[-1] == near(".36356") and schedules.linear(10)[-1] == near(".90374")
    variance = identities.posterior(LEFT)[2]
    assert variance[0] == 0 and variance[1] == near("5.4531876613e-5") and variance[-1] == near(".0199999835")
    assert floors.prior_kl(LEFT[-1]) == near("2.017956e-5") and floors.prior_kl(LEFT[-1], 1 / 3) == near("6.7268e-6")
    cosine, betas = schedules.cosine(), schedules.betas(schedules.cosine())
    assert betas[0] == near("4.128422e-5") and betas[500] == near(".0031556914") and cosine[499] == near(".4938435904")
    assert (betas > 0.999 - 1e-9).sum() == 1 and cosine[-1] == near("2.42877e-9")
    assert schedules.zero_terminal()[-1] == 0 and schedules.zero_terminal()[499] == near(".07602875055")
    assert schedules.vp_alpha(1.0) == near(".00657158649") and schedules.vp_alpha(0.5) ** 2 == near(".07906381")
    left = schedules.vp_alpha(1.0) ** 2
    assert np.log(left / (1 - left)) == near("-10.0499568")


def test_floors(told):
    printed = ".2755132334", ".3118974043", ".1243831570"
    assert [floors.epsilon(LEFT, 1.0, loss) for loss in ("l2", "l1", "huber")] == [near(value) for value in printed]
    assert floors.flow(1.0) == near("1.5707963") and floors.EDM == 1
    assert all(row["error"] <= 3 and row["standard_error"] < 0.01 for row in [r | r["at"] for r in told["losses"]])
    # no guess is better: one that is wrong by a twentieth is worse by far more than chance
    data, path = oracle.Gaussian(), schedules.discrete(LEFT, np.arange(1000))
    worse = lambda x, node: 1.05 * data.predict("epsilon", x, node)
    mean, error = floors.held_out(worse, "epsilon", data, path, jax.random.key(0), 2**16)
    assert mean > floors.epsilon(LEFT) - 3 * error and error < 0.005
    many = oracle.Gaussian(np.zeros((4, 4, 1)), 0.5)
    mean, error = floors.held_out(
        lambda x, node: many.predict("epsilon", x, node), "epsilon", many, path, jax.random.key(0), 2**13
    )
    assert abs(mean - floors.epsilon(LEFT, 0.5)) < 3 * error


def test_likelihoods(told):
    assert floors.entropy_bits(1.0) == near("2.0470955852") and floors.entropy_bits(0.5) == near("1.0470955852")
    assert floors.entropy(0.5) == near(".7257913526")
    assert len(told["likelihoods"]) == 8 and all(row["error"] < 1e-6 for row in told["likelihoods"])
    x, path = jnp.linspace(-2, 2, 5)[:, None], schedules.preserving(np.linspace(0.01, 1, 7))
    # the drift of the VP process on N(0, 1): nothing moves, and the default prior is the data
    for node in (path[i] for i in range(7)):
        assert jnp.abs(-x - oracle.Gaussian().score(x, node)).max() < 1e-15
    way = checks.at_ratios(likelihood.ratios(1e-4, 150.0, 20))
    found = likelihood.of_denoiser(oracle.Gaussian().denoise, x, way)
    assert np.allclose(found, oracle.Gaussian().log_prob(x), rtol=0, atol=1e-7)  # 1e-4 squared: where the way begins
    assert np.allclose(likelihood.of_denoiser(oracle.Gaussian().denoise, x.astype(np.float32), way), found, atol=1e-5)
    with pytest.raises(UserError, match="in the middle of its step"):
        likelihood.of_denoiser(oracle.Gaussian().denoise, x, schedules.exploding([0.1, 0.2, 0.9]))
    with pytest.raises(UserError, match="sigma > 0 at every point"):
        likelihood.of_denoiser(oracle.Gaussian().denoise, x, schedules.exploding([0.0, 0.5, 1.0]))


def test_divergence():
    """Exact of any function, Hutchinson's right on average."""
    draw = np.random.default_rng(0)
    matrix, x, probes = draw.normal(size=(6, 6)), draw.normal(size=(3, 2, 3)), draw.choice([-1.0, 1.0], (5000, 3, 2, 3))
    f = lambda x: (jnp.sin(x.reshape(x.shape[0], 6)) @ matrix).reshape(x.shape)
    value, trace = jax.jit(lambda x: likelihood.diverging(f, x))(x)
    wanted = np.cos(x.reshape(3, 6)) @ np.diag(matrix)
    assert np.allclose(value, f(x)) and np.allclose(trace, wanted, rtol=1e-12)
    told = jax.jit(jax.vmap(lambda probe: likelihood.diverging(f, x, probe[None])[1]))(probes)
    assert np.all(np.abs(told.mean(0) - trace) < 4 * told.std(0) / 5000**0.5) and told.std() > 0.1
    together = jax.jit(lambda probes: likelihood.diverging(f, x, probes)[1])(probes)
    assert np.allclose(together, told.mean(0), rtol=1e-10)


def test_strided_posterior():
    printed = {1000: (".496110", ".006561"), 500: (".614465", ".017665"), 100: (".878364", ".254636")}
    printed |= {50: (".935006", ".371724"), 25: (".966435", ".442496")}
    data = oracle.Gaussian(np.zeros(2), [0.5, 0.01])
    for steps, values in printed.items():
        times = schedules.leading(1000, steps)
        faulty = lambda denoise, x, noise, times=times: controls.strided_posterior(denoise, x, LEFT, times, noise)
        assert list(oracle.moments(faulty, data).std) == [near(value) for value in values]


def test_faults_are_caught(told, monkeypatch, capsys):
    rows = {row["name"]: row for row in told["controls"]}
    assert set(rows) == set(controls.CONTROLS) and all(row["ok"] for row in rows.values())
    assert rows["wrong eta"]["found"] == "nan" and rows["strided posterior"]["found"] == near(".878364")
    right = lambda denoise, x, left, times, noise: samplers.ancestral(
        denoise, x, schedules.discrete(left, times), noise
    )
    monkeypatch.setattr(checks, "CONTROLS", {"none": (right, schedules.leading, 1.0)})
    assert command("oracle", "controls") == 1 and "missed" in capsys.readouterr().out


def test_a_wrong_sampler_fails_the_command(monkeypatch, capsys):
    right = multistep.ddim_table
    monkeypatch.setattr(multistep, "ddim_table", lambda path, eta: right(path, eta)._replace(keep=right(path, 0).keep))
    wrong = {name: cases.CASES[name] for name in ("ddim", "ddim, eta 1")}
    monkeypatch.setattr(cases, "CASES", wrong)
    monkeypatch.setattr(cases, "STEPS", (10,))
    assert command("oracle", "samplers") == 1
    said = capsys.readouterr().out
    assert "3 of 6 numbers are wrong" in said and "ddim, eta 1 std 0.5, steps 10: expected 0.33326311, got" in said


def test_five_lines():
    def yours(denoise, x, noise):
        path = schedules.discrete(schedules.linear(), schedules.leading(1000, 50))
        return samplers.ddim(denoise, x, path)

    data = oracle.Gaussian(mean=0.0, std=0.5)
    found = oracle.moments(lambda denoise, x, noise: yours(denoise, x, noise), data)
    assert abs(found.std - oracle.exact.ddim(LEFT, schedules.leading(1000, 50), 0.0, 0.5).std) < 1e-12
    assert found.std.shape == found.mean.shape == (1,) and found.mean == 0


def test_moments_of_plain_code():
    """A loop of Python, dimensions that are mixed, noise that is used twice."""
    mix = np.array([[0.6, 0.8], [-0.8, 0.6]])

    def sampler(denoise, x, noise):
        for i in range(3):
            x = x @ mix + 0.1 * noise(i) + 0.1 * noise(0) + 1
        return x

    found = oracle.moments(sampler, oracle.Gaussian(np.zeros(2), 1.0), start=2.0, draws=3)
    gains = [mix @ mix @ (0.2 * np.eye(2)) + 0.1 * mix + 0.1 * np.eye(2), 0.1 * mix, 0.1 * np.eye(2)]
    variance = 4 + sum((gain**2).sum(0) for gain in gains)
    assert np.allclose(found.std**2, variance) and np.allclose(found.mean, np.ones(2) @ (mix @ mix + mix + np.eye(2)))


def test_predictions():
    data = oracle.Mixture([0.2, 0.8], [[0.0, 1.0], [2.0, -1.0]], [[0.5, 0.7], [0.3, 0.9]])
    only = oracle.Mixture([1.0], [[0.0, 1.0]], [[0.5, 0.7]]), oracle.Gaussian([0.0, 1.0], [0.5, 0.7])
    node, end, kinds = schedules.Node(0.3, 0.6, 0.8), schedules.rectified(1.0), get_args(prediction.Prediction)

    @jax.jit
    def told(x):
        x_0 = data.denoise(x, node)
        slope = jax.grad(lambda x: data.log_prob(x, node).sum())(x)
        pairs = [(data.score(x, node), slope), (x_0, (x + 0.64 * slope) / 0.6)]
        pairs += [(prediction.to_x0(kind, data.predict(kind, x, node), x, 0.6, 0.8), x_0) for kind in kinds]
        pairs += [tuple(each.predict(kind, x, node) for each in only) for kind in kinds]
        return pairs, [only[0].predict(kind, x, end) for kind in kinds]

    pairs, ends = told(jnp.linspace(-2.0, 3.0, 10).reshape(5, 2))
    assert all(a.shape == (5, 2) and np.allclose(a, b, rtol=1e-11) for a, b in pairs)
    assert np.all(np.isfinite(ends))  # where nothing is left of the data


def test_shapes_and_draws():
    data = oracle.Mixture([0.5, 0.5], np.stack([np.zeros((2, 2, 1)), np.ones((2, 2, 1))]), [0.1, 0.2])
    x = data.sample(jax.random.key(0), 4000)
    assert x.shape == (4000, 2, 2, 1) and oracle.Gaussian(0.0, 0.5).sample(jax.random.key(0), 3).shape == (3, 1)
    assert abs(x.mean() - 0.5) < 0.05 and abs(x.std() - (0.25 + 0.025) ** 0.5) < 0.01
    single = schedules.exploding(np.full(4000, 0.3))
    denoise = jax.jit(data.denoise)
    assert np.allclose(denoise(x, single), denoise(x, single[0]))  # a node for each, or one for all
    for dtype in (np.float32, jnp.bfloat16):
        assert jax.eval_shape(lambda x: data.denoise(x, single[0]), x.astype(dtype)).dtype == np.float32
    log_prob = jax.jit(oracle.Mixture([0.3, 0.7], [-1.0, 1.0], [0.5, 0.2]).log_prob)
    assert np.trapezoid(np.exp(log_prob(np.linspace(-6, 6, 4001)[:, None])), dx=0.003) == pytest.approx(1, abs=1e-9)


IDENTITY = lambda denoise, x, noise: x


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: oracle.Gaussian(0.0, -1.0), "std more than 0, got 0.0 and -1.0"),
        (lambda: oracle.Gaussian(np.nan, 1.0), "expected finite numbers"),
        (lambda: oracle.Gaussian(np.zeros(2), np.ones(3)), "one shape"),
        (lambda: oracle.Mixture([0.5, 0.6], [0.0, 1.0], [1.0, 1.0]), r"sum 1, got \[0.5, 0.6\]"),
        (lambda: oracle.Mixture([0.5, 0.5], [0.0, 1.0, 2.0], [1.0, 1.0]), "expected 2 each"),
        (lambda: oracle.Mixture([0.5, 0.5], [0.0, 1.0], [1.0, 0.0]), "std more than 0"),
        (
            lambda: oracle.Gaussian().predict("noise", jnp.ones((1, 1)), schedules.exploding(1.0)),
            "velocity, got 'noise'",
        ),
        (lambda: oracle.moments(lambda denoise, x, noise: x[0], oracle.Gaussian()), r"\(1, 1\) and gave \(1,\)"),
        (lambda: oracle.moments(lambda denoise, x, noise: None, oracle.Gaussian()), "gave NoneType"),
        (lambda: oracle.moments(lambda denoise, x, noise: jnp.clip(x, -1, 1) * x, oracle.Gaussian()), "not affine"),
        (lambda: oracle.moments(lambda denoise, x, noise: x + noise(7), oracle.Gaussian(), draws=7), "beyond i = 6"),
        (lambda: oracle.moments(IDENTITY, oracle.Mixture([1.0], [0.0], [1.0])), "expected a Gaussian"),
        (lambda: oracle.moments(IDENTITY, oracle.Gaussian(), start=-1.0), "start >= 0"),
        (lambda: likelihood.ratios(1.0, 0.5, 3), "0 < low < high"),
    ],
)
def test_refused(call, message):
    with pytest.raises(UserError, match=message) as told:
        call()
    assert "\n" not in str(told.value)


def test_the_command_refuses(capsys):
    assert command("oracle", "smplers") == 2 and "samplers" in capsys.readouterr().err


def test_relations(told):
    rows = {row["name"]: row for row in told["relations"]}
    assert all(row["ok"] for row in rows.values())
    x = 0.6 * 0.3 + 0.8 * -1.2
    assert x == near("-.78") and prediction.target("v", 0.3, -1.2, 0.6, 0.8) == near("-.96")
    assert prediction.to_x0("v", -0.96, x, 0.6, 0.8) == near(".3") and identities.converted() < 1e-14
    # a step that forgets its noise misses the marginal
    path = schedules.discrete(LEFT, schedules.leading(1000, 50))
    lost = multistep.ancestral_table(path)
    assert identities.kept(lost, path) < 1e-12 < 1e-4 < identities.kept(lost._replace(noise=0 * lost.noise), path)
