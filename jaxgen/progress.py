"""What a run says while it runs: a bar on a terminal, a line now and then elsewhere."""

import time
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from jaxgen import pictures

SHOW = 5.0  # seconds between two lines where there is no terminal


class Clock:
    """Seconds by what they went to; all that is not named is the steps'."""

    def __init__(self):
        self.begun, self.named = time.perf_counter(), {}

    @contextmanager
    def __call__(self, what):
        begun, inside = time.perf_counter(), sum(self.named.values())
        yield
        inside = sum(self.named.values()) - inside  # what was named within has its own line
        self.named[what] = self.named.get(what, 0.0) + time.perf_counter() - begun - inside

    @property
    def seconds(self):
        return time.perf_counter() - self.begun

    @property
    def steps(self):
        return self.seconds - sum(self.named.values())


class Bar:
    """Of the steps of a plan, `done` of them made before."""

    def __init__(self, plan, done):
        self.steps, self.step, self.images = plan.steps, done, plan.batch * plan.used
        self.console, self.shown = Console(soft_wrap=True, highlight=False), time.perf_counter()
        self.bar = self.task = None
        self.told = ""
        if self.console.is_terminal:
            columns = BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn()
            self.bar = Progress(*columns, console=self.console)
            self.task = self.bar.add_task("", total=plan.steps, completed=done, told="compiling")

    def __enter__(self):
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, *error):
        if self.bar:
            self.bar.stop()

    def advance(self, step, rate):
        self.step = step
        if self.bar:
            self.bar.update(self.task, completed=step, told=f"{self.speed(rate)}  {self.told}")

    def log(self, metrics, rate):
        """The losses of the last interval."""
        self.told = told = losses(metrics)
        if self.bar:
            self.bar.update(self.task, told=f"{self.speed(rate)}  {told}")
        elif time.perf_counter() - self.shown > SHOW or self.step == self.steps:
            left = duration((self.steps - self.step) / rate)
            self.say(f"step {self.step:>{len(str(self.steps))}}/{self.steps}  {told}  {self.speed(rate)}  {left} left")

    def say(self, text):
        self.console.print(text, markup=False)
        self.shown = time.perf_counter()

    def speed(self, rate):
        steps = f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}"
        return f"{steps} steps/s  {rate * self.images:,.0f} images/s"


def losses(metrics):
    ordered = sorted(metrics, key=pictures.losses_first)
    return "  ".join(f"{key} {metrics[key]:.4g}" for key in ordered)


def duration(seconds):
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
