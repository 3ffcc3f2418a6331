"""The look of the page, light and dark. Every colour of a text has a contrast of at least 4.5 to what lies below it."""

LIGHT = """
  --page: #ffffff; --text: #1b1f24; --quiet: #57606a; --line: #d0d7de; --soft: #f6f8fa; --link: #0a58ca;
  --good: #0b6a32; --bad: #b3161e; --failed: #fff0ee;
  --h0: #ffffff; --h1: #eaf3fb; --h2: #d3e6f6; --h3: #b3d2ee; --h4: #8dbbe3;
  --h5: #ffe0b5; --h6: #ffbf80; --h7: #fb9a6a; --h8: #f47c66;
  --c0: #0a58ca; --c1: #b35900; --c2: #0b7a3b; --c3: #8e3bb8; --c4: #a8324a; --c5: #4d6370;
"""

DARK = """
  --page: #14181d; --text: #e6eaef; --quiet: #a3adb8; --line: #39424d; --soft: #1c2229; --link: #8ab8ff;
  --good: #5fd28a; --bad: #ff8f88; --failed: #33191b;
  --h0: #14181d; --h1: #16273a; --h2: #17324f; --h3: #193f67; --h4: #1b4e81;
  --h5: #5c3a10; --h6: #7a3c10; --h7: #94321a; --h8: #a82424;
  --c0: #78aeff; --c1: #ffb057; --c2: #59d18c; --c3: #d59bf6; --c4: #ff93a6; --c5: #aebdc8;
"""

RULES = """
* { box-sizing: border-box; }
html { color-scheme: light dark; scroll-padding-top: 1rem; }
body { margin: 0 auto; max-width: 78rem; padding: 1rem 1.25rem 4rem; background: var(--page); color: var(--text);
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
h1, h2, p, tbody th, .place { overflow-wrap: anywhere; }
h1 { font-size: 2rem; line-height: 1.2; margin: .25rem 0 1rem; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 0; display: inline; }
h4 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .4rem 0; }
a { color: var(--link); }
:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
code, .number { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
code { font-size: .9em; overflow-wrap: anywhere; }
.number { font-variant-numeric: tabular-nums; font-size: .9em; }
.quiet, .told { color: var(--quiet); font-size: .9em; font-weight: normal; overflow-wrap: anywhere; }
.good { color: var(--good); }
.bad { color: var(--bad); }

dl { margin: 0; }
dd { margin: 0; overflow-wrap: anywhere; }
dt { color: var(--quiet); font-size: .9em; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(13rem, 1fr)); gap: .75rem; }
.figures > div { border: 1px solid var(--line); border-radius: 6px; padding: .5rem .75rem; background: var(--soft); }
.figures dd > b { font-size: 1.4rem; }
.diagnosis { border-left: 4px solid var(--bad); background: var(--failed); padding: .6rem .9rem; margin: .75rem 0; }
.diagnosis dl > div { display: grid; grid-template-columns: 4rem 1fr; gap: .5rem; margin-top: .25rem; }

.case { border-top: 2px solid var(--line); margin-top: 2.5rem; }
.case > h2 { margin-top: 1rem; }
details.part { border-top: 1px solid var(--line); padding: .3rem 0; }
details.part[open] { padding-bottom: 1rem; }
summary { cursor: pointer; padding: .15rem 0; }
.more { margin: .5rem 0; }
.more > summary { color: var(--link); }

table { border-collapse: collapse; margin: .5rem 0; width: 100%; }
caption { text-align: left; color: var(--quiet); font-size: .9em; padding-bottom: .25rem; }
th, td { text-align: left; vertical-align: top; padding: .25rem .6rem .25rem .4rem;
  border-bottom: 1px solid var(--line); }
thead th { color: var(--quiet); font-size: .85em; vertical-align: bottom; background: var(--page); }
tbody th { font-weight: normal; min-width: 9rem; }
td.number { white-space: nowrap; }
.failed, .failed > th { background: var(--failed); }
.facts { width: auto; min-width: min(100%, 34rem); }
.group th { background: var(--soft); font-weight: 600; }
.bar { display: block; width: 9rem; max-width: 100%; height: .5rem; border: 1px solid var(--quiet);
  border-radius: 2px; }
.bar > span { display: block; height: 100%; background: var(--c0); }
.bar.beyond { border-color: var(--bad); }
.bar.beyond > span { background: repeating-linear-gradient(135deg, var(--bad) 0 4px, var(--page) 4px 6px); }

.scroll { overflow: auto; border: 1px solid var(--line); border-radius: 6px; }
.scroll table { margin: 0; }
.scroll caption { padding: .35rem .4rem; position: sticky; left: 0; max-width: min(calc(100vw - 2rem), 72rem); }
.scroll.long { max-height: 36rem; }
.scroll thead th { position: sticky; top: 0; z-index: 2; }
.matrix tbody th, .matrix tfoot th { position: sticky; left: 0; z-index: 1; background: var(--page); min-width: 9rem; }
.matrix .failed > th { background: var(--failed); }
.matrix td, .matrix th { padding: .2rem .3rem; }
.dense { font-size: .75em; text-align: center; min-width: 2.6rem; }
.first { display: block; text-decoration: underline; }
.upright { writing-mode: vertical-rl; transform: rotate(180deg); }
.place code { display: block; }
.place, .cause { min-width: 7rem; max-width: 14rem; font-size: .9em; }
.tree { width: auto; }
.tree tbody th { min-width: min(34rem, 50vw); }
.tree td { min-width: 4.3rem; }
.branch { display: inline-block; padding-left: calc(var(--depth) * .9rem); }
:target { outline: 2px solid var(--link); outline-offset: -2px; }

.strip { display: grid; grid-template-columns: auto 1fr; gap: .5rem; margin: .75rem 0; }
.strip > div { display: grid; line-height: 1rem; }
.strip rect:not([class]) { fill: none; }
.strip svg { width: 100%; height: 3rem; border: 1px solid var(--line); }
.legend { display: flex; flex-wrap: wrap; list-style: none; margin: .5rem 0; padding: 0; font-size: .8em; }
.legend li { padding: .1rem .45rem; border: 1px solid var(--line); margin: 0 -1px -1px 0; }
.legend .gate { border-color: transparent; font-weight: 600; }
HEAT

.beside { display: grid; grid-template-columns: minmax(0, 3fr) minmax(0, 2fr); gap: 1.5rem; align-items: start; }
.even { grid-template-columns: 1fr 1fr; }
figure { margin: .5rem 0; }
.plot { display: block; width: 100%; max-width: 33rem; }
.plot text { font-size: 12.5px; fill: var(--text); }
.frame { fill: none; stroke: var(--quiet); }
.tick { stroke: var(--line); stroke-width: .75; }
path { fill: none; stroke-linejoin: round; }
.torch { stroke: var(--c); stroke-width: 6; stroke-opacity: .35; }
.jax { stroke: var(--c); stroke-width: 1.6; }
CURVES
.limit { stroke: var(--bad); stroke-width: 1.6; stroke-dasharray: 6 4; }
.same { stroke: var(--quiet); stroke-width: 1.2; }
.dot { fill: var(--c0); fill-opacity: .55; stroke: var(--c0); }
.dot.bad { fill: var(--bad); stroke: var(--bad); }
.key { list-style: none; display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; margin: .25rem 0; padding: 0;
  font-size: .9em; }
.piece { width: 28px; height: 12px; margin-right: .4rem; vertical-align: middle; }
.samples img { display: block; width: 100%; image-rendering: pixelated; }
.samples figcaption { font-size: .9em; color: var(--quiet); }

@media (min-width: 80rem) {
  .scroll.wide { overflow: visible; border: 0; }
}
@media (max-width: 46rem) {
  body { padding: .75rem .75rem 3rem; }
  h1 { font-size: 1.6rem; }
  .beside { grid-template-columns: minmax(0, 1fr); gap: .5rem; }
  table.cards, .cards tbody, .cards tr, .cards th, .cards td { display: block; }
  .cards caption { display: block; }
  .cards thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  .cards tr { display: flex; flex-wrap: wrap; gap: .1rem 1rem; padding: .45rem .3rem;
    border-bottom: 1px solid var(--line); }
  .cards th, .cards td { border: 0; padding: 0; max-width: 100%; }
  .cards tbody th { flex: 1 0 100%; }
  .cards td::before { content: attr(data-label) " "; color: var(--quiet); font: .85em system-ui, sans-serif; }
  .grid.matrix tbody th { max-width: 10rem; }
  .cards.matrix th { position: static; }
  .cards td:empty { display: none; }
  .cards.matrix .dense { padding: .15rem .35rem; font-size: .85em; }
  .cards.matrix tr { gap: .25rem .4rem; }
  .cards.matrix .place, .cards.matrix .cause { flex: 1 0 100%; max-width: 100%; }
  .cards.matrix .first, .place code { display: inline; }
  .cards.matrix td::before { color: inherit; }
  .cards.matrix tfoot { display: none; }
  .bar { display: inline-block; width: 6rem; margin-left: .6rem; }
  .tree { width: 100%; }
  .tree tbody th { min-width: 0; }
  .tree th, .tree td { min-width: 0; padding: .25rem .2rem; }
}
"""

HEAT = "\n".join(f".h{i} {{ background: var(--h{i}); fill: var(--h{i}); }}" for i in range(9))
CURVES = "\n".join(f".c{i} {{ --c: var(--c{i}); }}" for i in range(6))
STYLE = f":root {{{LIGHT}}}\n@media (prefers-color-scheme: dark) {{ :root {{{DARK}}} }}\n" + RULES.replace(
    "HEAT", HEAT
).replace("CURVES", CURVES)
