"""Shell completion: what a shell offers when the key is pressed."""

import re
import shutil
import subprocess

import pytest

from jaxgen import cli, find
from jaxgen.errors import UserError
from jaxgen.latent import command

ABOUT = {name: function.__doc__ for name, function in cli.COMMANDS.items()}
HELPED = [name for name in cli.COMMANDS if name not in ("train", "sweep", "list", "parity", "latent")]
HELPED += [f"train {name}" for name in find.names()] + [f"parity {name}" for name in cli.PARITY]
HELPED += ["sweep vae", "sweep take"]
HELPED += [f"latent runs/x {name}" for name in command.ACTIONS]


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    from jaxgen import completion

    folder = tmp_path_factory.mktemp("completion")
    for shell in completion.SHELLS:
        (folder / f"jaxgen.{shell}").write_text(completion.script(shell, ABOUT))
    return folder


@pytest.fixture
def bash(scripts):
    """The words offered for the last of a line's words."""

    def offered(*words, folder=scripts):
        line = " ".join(f"'{word}'" for word in ("jaxgen", *words))
        asked = f"source {scripts}/jaxgen.bash; COMP_WORDS=({line}); COMP_CWORD={len(words)}; _shtab_jaxgen"
        shown = f'{asked}; printf "%s\\n" "${{COMPREPLY[@]}}"'
        done = subprocess.run(["bash", "-c", shown], capture_output=True, text=True, cwd=folder, check=True)
        assert not done.stderr
        return set(done.stdout.split())

    return offered


needs_bash = pytest.mark.skipif(not shutil.which("bash"), reason="there is no bash")


@needs_bash
def test_names(bash):
    assert bash("") >= set(cli.COMMANDS) and bash("--co") == {"--completion"}
    assert bash("--completion", "") == {"bash", "zsh", "fish"}
    assert bash("sa") == {"sample"} and bash("train", "") == set(find.names())
    assert bash("verify", "") >= set(find.names())  # or files
    assert bash("parity", "") >= set(cli.PARITY) and bash("parity", "map", "v") >= {"vae"}
    assert bash("train", "mlp") == {"mlp_gan"}
    assert bash("latent", "runs/x", "") >= set(command.ACTIONS) and bash("latent", "runs/x", "tra") == {"traverse"}


@needs_bash
def test_options_and_their_choices(bash):
    assert bash("train", "dcgan", "--obj") == {"--objective"} and not bash("train", "vae", "--obj")
    assert bash("train", "dcgan", "--lr", "1e-3", "--log") == {"--log-every"}
    assert bash("train", "dcgan", "--objective", "bce") >= {"bce", "bce_half"}
    assert bash("train", "dcgan", "--size", "") == {"32", "64"}
    assert bash("train", "vae", "--recipe", "") == {"T02", "digits"}
    assert bash("sample", "runs/x", "--weights", "") == {"averaged", "raw", "best"}
    assert bash("sample", "runs/x", "--family", "d") >= {"dcgan"}
    assert bash("sample", "gen.pt", "--family", "dcgan", "--obj") == {"--objective"}
    assert bash("latent", "runs/x", "interpolate", "--path", "") == {"linear", "spherical"}
    assert {"--convert", "--no-convert"} <= bash("train", "vae", "--")


@needs_bash
def test_files(bash, tmp_path):
    (tmp_path / "digital.npz").touch()
    (tmp_path / "gen.safetensors").touch()
    assert bash("sample", "ge", folder=tmp_path) == {"gen.safetensors"}
    assert bash("train", "vae", "--data", "dig", folder=tmp_path) == {"digits", "digital.npz"}
    assert bash("data", "dig", folder=tmp_path) == {"digits", "digital.npz"}


@needs_bash
@pytest.mark.parametrize("words", HELPED)
def test_every_option_of_the_help_is_offered(words, bash, capsys, monkeypatch):
    """So a command that is new cannot be forgotten."""
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit):
        cli.main([*words.split(), "--help"])
    helped = set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", re.sub(r"(?m)^│ {2,}.*$", "", capsys.readouterr().out)))
    offered = bash(*words.split(), "--")
    assert offered >= helped and len(helped) > 1, helped - offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_reads_its_script(shell, scripts):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell}")  # no package of Python brings one
    subprocess.run([shell, "-n", f"{scripts}/jaxgen.{shell}"], check=True)


@pytest.mark.skipif(not shutil.which("fish"), reason="there is no fish")
def test_fish_offers_the_same(scripts):
    def offered(line):
        asked = f"source {scripts}/jaxgen.fish; complete -C '{line}'"
        done = subprocess.run(["fish", "-c", asked], capture_output=True, text=True, check=True, cwd=scripts)
        return {answer.split("\t")[0] for answer in done.stdout.splitlines()}

    assert offered("jaxgen train ") == set(find.names()) and offered("jaxgen train dcgan --obj") == {"--objective"}
    assert offered("jaxgen train dcgan --objective bce") >= {"bce", "bce_half"}
    assert offered("jaxgen train vae --data mn") == {"mnist"}


def test_the_command(capsys):
    cli.main(["--completion", "bash"])
    assert "complete -o bashdefault -F _shtab_jaxgen jaxgen" in capsys.readouterr().out
    with pytest.raises(SystemExit) as stop:
        cli.main(["--completion", "csh"])
    assert stop.value.code == 2 and "expected bash, zsh, fish, got 'csh'." in capsys.readouterr().err
    assert "--completion" in cli.overview()


def test_an_unknown_shell():
    from jaxgen import completion

    with pytest.raises(UserError, match="expected bash, zsh, fish, got 'tcsh'"):
        completion.script("tcsh", ABOUT)
