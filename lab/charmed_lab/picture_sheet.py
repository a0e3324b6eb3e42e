# Copyright 2026 The charmed MAAS authors.
# Licensed under the Apache License, Version 2.0; see LICENSE.
"""A model as one SVG: applications and their relations above, machines with units below."""

import contextlib
import html
import math
import re
import textwrap
from collections import Counter
from collections.abc import Iterator

from . import picture_parts
from .picture_parts import Entity

MARGIN, GAP, PAD, COLUMN, COLUMNS = 20, 16, 10, 214, 6
# Heights of the sheet's and a machine's head.
HEAD, MACHINE = 84, 64
CARD, APP, APP_WIDTH, LANE = 80, 70, 224, 24
# How wide a letter is, in pixels: generous, for fonts differ from one viewer to the next.
LETTER = {"": 6.3, "m": 8.8, "h": 14.5}
# Words of models, machines, workloads and agents, by what they mean to an operator.
COLOURS = {
    "#1b7f3b": ("active", "started", "available"),
    "#1d5fa8": ("maintenance", "executing", "rebooting"),
    "#8a5a00": ("waiting", "pending", "allocating"),
    "#c2410c": ("blocked",),
    "#b3141d": ("error", "down", "lost", "failed"),
}
STATUS = {word: colour for colour, words in COLOURS.items() for word in words}
GREY, LINE = "#5f6672", "#6b7280"
# Ink and paper of each application, kept away from the statuses' colours.
HUES = (
    *(("#5b3fa8", "#f3f0fc"), ("#0b6578", "#e7f5f7"), ("#9c2f6c", "#fcedf5")),
    *(("#2f4fa0", "#eaf0fc"), ("#6b4a2f", "#f7f0e8"), ("#4c6216", "#f1f6e2")),
)
BADGES = {"VIP holder": "#d9480f", "primary": "#312e81"}
STYLE = """text{font:11px Ubuntu,'DejaVu Sans',Verdana,sans-serif;fill:#1f2430}
.h{font-size:20px;font-weight:bold}.m{font-size:13px;font-weight:bold}
.w{fill:#fff;font-weight:bold}.c{text-anchor:middle}.e{text-anchor:end}"""
NOT_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def escape(text: str) -> str:
    """Return a text as XML can hold it."""
    return html.escape(NOT_XML.sub("\ufffd", text))


def fit(text: str, width: float, kind: str = "") -> str:
    """Cut a text to a width, with an ellipsis."""
    most = max(int(width / LETTER[kind]), 2)
    return text if len(text) <= most else text[: most - 1] + "…"


class Picture:
    """One model on one sheet, drawn from top to bottom."""

    def __init__(self, report: Entity) -> None:
        """Read the model and lay out its columns."""
        self.report, self.parts = report, list[str]()
        self.apps = picture_parts.applications(report)
        self.units = picture_parts.units(self.apps)
        self.machines = picture_parts.machines(report, self.units)
        rows = math.ceil(len(self.machines) / COLUMNS) or 1
        self.columns = math.ceil(len(self.machines) / rows) or 1
        least = max(self.columns * (COLUMN + GAP), len(self.apps) * 170, 3 * (COLUMN + GAP))
        self.width = least - GAP + 2 * MARGIN

    def text(self, x: float, y: float, text: str, kind: str = "", fill: str = "") -> None:
        """Draw a line of text."""
        fill = f' style="fill:{fill}"' if fill else ""
        self.parts.append(f'<text x="{x:g}" y="{y:g}" class="{kind}"{fill}>{escape(text)}</text>')

    def box(self, x: float, y: float, width: float, height: float, look: str) -> None:
        """Draw a rectangle."""
        size = f'width="{width:g}" height="{height:g}"'
        self.parts.append(f'<rect x="{x:g}" y="{y:g}" {size} {look}/>')

    def pill(self, x: float, y: float, word: str, *, ends: bool = False) -> float:
        """Draw a word on its colour, from x on or so that it ends there; return its width."""
        width = len(word) * 7.4 + 14
        x -= width if ends else 0
        colour = BADGES.get(word) or STATUS.get(word, GREY)
        self.box(x, y - 12, width, 17, f'rx="8.5" fill="{colour}" stroke="#fff"')
        self.text(x + width / 2, y + 0.5, word, "w c")
        return width

    @contextlib.contextmanager
    def group(self, title: str) -> Iterator[None]:
        """Keep together what is drawn inside; a pointer on it shows the title."""
        self.parts.append(f"<g><title>{escape(title)}</title>")
        yield
        self.parts.append("</g>")

    def hue(self, app: str) -> tuple[str, str]:
        """Return an application's ink and paper."""
        return HUES[list(self.apps).index(app) % len(HUES)] if app in self.apps else (GREY, "#fff")

    def heading(self, note: str) -> None:
        """Draw the model's name, and in words what matters most of it."""
        model, right = self.report.get("model") or {}, self.width - MARGIN
        now = picture_parts.status(model, "model-status")
        name = fit(model.get("name") or "no model", self.width / 2, "h")
        self.text(MARGIN, 36, name, "h")
        self.pill(MARGIN + len(name) * LETTER["h"] + 12, 34, now["current"])
        where = [f"controller {model.get('controller', '')}", model.get("cloud")]
        where += [f"Juju {model.get('version', '')}"]
        where += [(self.report.get("controller") or {}).get("timestamp")]
        self.text(MARGIN, 58, " · ".join(filter(None, where)), fill=GREY)
        states = Counter(
            picture_parts.status(unit, "workload-status")["current"]
            for unit in self.units.values()
        )
        counts = ", ".join(f"{number} {word}" for word, number in states.most_common())
        self.text(right, 36, f"{len(self.units)} units{': ' if counts else ''}{counts}", "m e")
        held = [(picture_parts.badge(unit), name) for name, unit in self.units.items()]
        said = ", ".join(f"{mark}: {name}" for mark, name in held if mark)
        self.text(right, 58, said, "e", GREY)
        self.text(MARGIN, 77, fit(note, self.width), fill=STATUS["error"])

    def applications(self, y: float) -> float:
        """Draw the applications under the lines between them; return where that ends."""
        row, related = list(self.apps), picture_parts.relations(self.apps)
        pairs = [sorted((row.index(key[0]), row.index(key[1]))) for key in related]
        lane = picture_parts.lanes([(a, b) for a, b in pairs])
        top = y + 10 + LANE * (max(lane, default=-1) + 1)
        cell = (self.width - 2 * MARGIN + GAP) / max(len(row), 1)
        wide = min(APP_WIDTH, cell - GAP)
        left = [MARGIN + (cell - GAP - wide) / 2 + cell * at for at in range(len(row))]
        port: dict[tuple[int, int], float] = {}
        for at, x in enumerate(left):
            # Lines to the left, then those to the right, so that none crosses another going up.
            left_ends = sorted((lane[i], i) for i, (_, b) in enumerate(pairs) if b == at)
            right_ends = sorted((-lane[i], i) for i, (a, _) in enumerate(pairs) if a == at)
            ends = [*left_ends, *right_ends]
            for place, (_, i) in enumerate(ends, 1):
                port[at, i] = x + wide * place / (len(ends) + 1)
        for i, ((one, other, interface), sides) in enumerate(related.items()):
            a, b = pairs[i]
            named = [", ".join(sorted(sides.get(row[at], ()))) for at in (a, b)]
            label = " / ".join(dict.fromkeys(filter(None, named)))
            with self.group(f"{one}, {other}: {label} ({interface})"):
                self.relation(port[a, i], port[b, i], top, LANE * (lane[i] + 1), label)
        for name, x in zip(row, left, strict=True):
            self.application(name, x, top, wide)
        return top + (APP if row else 0)

    def relation(self, x: float, to: float, y: float, rise: float, label: str) -> None:
        """Draw a line up from one box, along its lane and down to another."""
        label = fit(label, to - x - 24)
        width = len(label) * LETTER[""] + 6
        path = f"M{x:g} {y:g}v{8 - rise:g}q0-8 8-8H{to - 8:g}q8 0 8 8V{y:g}"
        self.parts.append(f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.6"/>')
        for at in (x, to):
            self.parts.append(f'<circle cx="{at:g}" cy="{y:g}" r="3.5" fill="{LINE}"/>')
        self.box((x + to - width) / 2, y - rise - 8, width, 16, 'fill="#fff"')
        self.text((x + to) / 2, y - rise + 4, label, "c")

    def application(self, name: str, x: float, y: float, width: float) -> None:
        """Draw an application: its status, how many units, its version or what is wrong."""
        app, (ink, paper) = self.apps[name], self.hue(name)
        now = picture_parts.status(app, "application-status")
        count = sum(unit.rpartition("/")[0] == name for unit in self.units)
        scale = app.get("url") or f"{count} unit{'' if count == 1 else 's'}"
        told = [app.get("version"), f"revision {app['charm-rev']}" if "charm-rev" in app else ""]
        detail = ", ".join(filter(None, told)) if now["current"] == "active" else now["message"]
        with self.group(f"{name}: {now['current']}\n{now['message']}"):
            self.box(x, y, width, APP, f'rx="8" fill="{paper}" stroke="{ink}" stroke-width="1.4"')
            self.text(x + 12, y + 21, fit(name, width - 24, "m"), "m", ink)
            end = x + 20 + self.pill(x + 12, y + 42, now["current"])
            self.text(end, y + 42, fit(scale, x + width - end))
            self.text(x + 12, y + 60, fit(detail, width - 20), fill=GREY)

    def unit(self, name: str, x: float, y: float, width: float) -> None:
        """Draw a unit: its status as a stripe and a word, its message, its marks."""
        unit = self.units[name]
        ink, paper = self.hue(name.rpartition("/")[0])
        inset = PAD if "principal" in unit else 0
        x, width = x + inset, width - inset
        now, agent = (picture_parts.status(unit, f"{one}-status") for one in ("workload", "juju"))
        message = now["message"] or agent["message"]
        states = f"{now['current']}, {agent['current']} {agent['message']}"
        with self.group(f"{name}: {states}\n{message}"):
            self.box(
                x, y, width, CARD, f'rx="5" fill="{paper}" stroke="{ink}" stroke-opacity=".5"'
            )
            self.box(x, y, 6, CARD, f'rx="3" fill="{STATUS.get(now["current"], GREY)}"')
            self.text(x + 14, y + 20, fit(name, width - 40, "m"), "m", ink)
            end = x + 20 + self.pill(x + 14, y + 39, now["current"])
            self.text(end, y + 39, agent["current"], fill=STATUS.get(agent["current"], GREY))
            most = int((width - 20) / LETTER[""])
            lines = textwrap.wrap(
                message, most, max_lines=2, placeholder="…", break_on_hyphens=False
            )
            for at, line in enumerate(lines):
                self.text(x + 14, y + 59 + 15 * at, line)
            if unit.get("leader"):
                room = x + width - end - len(agent["current"]) * LETTER[""]
                said = "★ leader" if room > 66 else "★"
                self.text(x + width - 8, y + 39, said, "e", "#7a5600")
            if mark := picture_parts.badge(unit):
                self.pill(x + width - 6, y + 2, mark, ends=True)

    def on(self, number: str) -> list[str]:
        """Return the units of a machine, or those without one."""
        return [name for name, unit in self.units.items() if (unit.get("machine") or "") == number]

    def height(self, number: str, machine: Entity) -> float:
        """Return how high a machine is with its units and containers."""
        inside = picture_parts.by_number(machine.get("containers")).items()
        cards = len(self.on(number)) * (CARD + GAP)
        return MACHINE + cards + sum(self.height(*one) + GAP for one in inside) + PAD - GAP / 2

    def machine(self, number: str, machine: Entity, place: tuple[float, ...]) -> None:
        """Draw a machine with its units and containers; one of no status is no machine."""
        x, y, width, height = place
        agent = picture_parts.status(machine, "juju-status")
        instance = picture_parts.status(machine, "machine-status")
        # Juju's `provisioning error` is the instance's only: its agent is pending for ever.
        now = instance | {"current": "error"} if "error" in instance["current"] else agent
        colour = STATUS.get(now["current"], GREY)
        look = f'fill="#f7f8fa" stroke="{colour}" stroke-width="1.6" stroke-dasharray="6 4"'
        if now["current"] == "started":
            look = 'fill="#f7f8fa" stroke="#c5cad3"'
        self.box(x, y, width, height, f'rx="9" {look}')
        title = f"machine {number}" if number.isdecimal() else number or "no machine"
        self.text(x + PAD, y + 22, title, "m")
        if machine:
            self.pill(x + width - PAD, y + 22, now["current"], ends=True)
            where = [machine.get("dns-name") or "no address", machine.get("instance-id")]
            self.text(
                x + PAD, y + 39, fit(" · ".join(filter(None, where)), width - PAD), fill=GREY
            )
        if machine and now["current"] != "started":
            slow = instance["message"] if instance["current"] != "running" else ""
            message = now["message"] or slow
            self.text(x + PAD, y + 54, fit(message, width - PAD), fill=colour)
        y += MACHINE
        for name in self.on(number):
            self.unit(name, x + PAD, y, width - 2 * PAD)
            y += CARD + GAP
        for inside, one in picture_parts.by_number(machine.get("containers")).items():
            height = self.height(inside, one)
            self.machine(inside, one, (x + PAD, y, width - 2 * PAD, height))
            y += height + GAP

    def rows(self, y: float) -> float:
        """Draw the machines in rows; return where the last one ends."""
        width = min((self.width - 2 * MARGIN + GAP) / self.columns - GAP, 1.5 * COLUMN)
        found = list(self.machines.items())
        for at in range(0, len(found), self.columns):
            row = found[at : at + self.columns]
            height = max(self.height(*one) for one in row)
            for place, (number, machine) in enumerate(row):
                self.machine(number, machine, (MARGIN + place * (width + GAP), y, width, height))
            y += height + GAP
        return y


def draw(report: Entity, note: str = "") -> str:
    """Return a status as SVG; `note` says what the viewer must know of the picture itself."""
    sheet = Picture(report)
    sheet.heading(note)
    y = sheet.rows(sheet.applications(HEAD) + GAP)
    if not sheet.apps and not sheet.machines:
        sheet.text(sheet.width / 2, y + 20, "no applications, no machines", "m c", GREY)
        y += 50
    size = f'width="{sheet.width:g}" height="{y:g}" viewBox="0 0 {sheet.width:g} {y:g}"'
    ground = '<rect width="100%" height="100%" rx="10" fill="#fff"/>'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<style>{STYLE}</style>'
    return "\n".join([head, ground, *sheet.parts, "</svg>", ""])
