"""`projected-search`, lesson 04: right and wrong searches on the functions of `_searches`."""

import torch

from course_lib.exercises import Exercise
from course_lib.lbfgsb import plain

from ._searches import Bowl, search_cases, search_of_numpy
from .shared import doubles, exactly, lost_digits

EXERCISE = Exercise(
    title="A backtracking search on the projected path",
    difficulty=3,
    minutes=10,
    hints=[
        "A loop over the lengths 1, 1/2, 1/4, ...; in it the point `project(x + length * "
        "direction, lower, upper)`.",
        "What the first-order model promises for that point is `gradient @ (point - x)`, with the "
        "point after the projection. If it is not negative, go on to the next length.",
        "Return the point with its value and gradient as soon as the value is at most `value + "
        "1e-4 * slope`, and None when the loop is over.",
    ],
    cases=search_cases,
    parts=("point", "value", "gradient"),
    oracle=search_of_numpy,
    on_device=False,
    done="It finds the same points as a version written in NumPy.",
    equivalent_mutants={
        f"- for halvings in range(31): / + for halvings in range({n}):": (
            "Where 30 halvings find nothing, one more or less does not either: any such number "
            "will do."
        )
        for n in (30, 32)
    }
    | {
        "- if new_value <= value + 0.0001 * slope: / + if new_value < value + 0.0001 * slope:": (
            "The two differ only where the decrease is exactly the one asked for."
        )
    },
)


@EXERCISE.variant
def search_while(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
    length = 1.0
    while length > 0.5**31:
        point = plain.project(x + length * direction, lower, upper)
        found = fun(point)
        slope = (gradient * (point - x)).sum()
        if slope < 0 and found[0] - value <= 1e-4 * slope:
            return (point, *found)
        length *= 0.5
    return None


@EXERCISE.variant
def search_recursive(fun, x, value, gradient, direction, lower=0.0, upper=1.0, left=30):
    point = plain.project(x + direction, lower, upper)
    slope = float(gradient @ (point - x))
    new_value, new_gradient = fun(point)
    if slope < 0 and new_value <= value + 1e-4 * slope:
        return point, new_value, new_gradient
    if not left:
        return None
    return search_recursive(fun, x, value, gradient, direction / 2, lower, upper, left - 1)


GIVEN_UP = (
    "You give up as soon as gradient · (point - x) is not negative. On a bent path a shorter step "
    "can still lead down: go on to the next length."
)


@EXERCISE.probe(only_right=True)
def goes_on(answer):
    """Where the first variable goes uphill and the second down, no farther than 0.1."""
    bowl, x = Bowl(torch.eye(2, dtype=torch.float64), doubles(0.2, -0.9)), doubles(0.5, 0.1)
    return None if answer(bowl, x, *bowl(x), doubles(0.6, -0.5)) is not None else GIVEN_UP


ASKED_AGAIN = (
    "The points are right, but `fun` is called more often than there are lengths to try, and every "
    "call costs a pass of the network. Call it once for a point, keep both results, and never at "
    "x, whose value and gradient are handed to you."
)


@EXERCISE.probe(only_right=True)
def asks_once(answer):
    """A probe: 1, 1/2 and 1/4 are tried, no more often than once each."""
    bowl, asked = Bowl(2 * torch.eye(2, dtype=torch.float64), doubles(0.8, 0.8)), []

    def fun(x):
        asked.append(x)
        return bowl(x)

    x = doubles(0.9, 0.5)
    answer(fun, x, *bowl(x), doubles(-4, -0.8), -9.0, 9.0)
    tried = {tuple(point.tolist()) for point in asked}
    return ASKED_AGAIN if len(asked) > len(tried) or tuple(x.tolist()) in tried else None


@EXERCISE.probe(only_right=True)
def in_double_precision(answer):
    """A probe: the point is right beyond single precision."""
    bowl, x = Bowl(torch.eye(2, dtype=torch.float64), doubles(0.2, 0.3)), doubles(0.7, 0.9)
    way = doubles(-0.123, -0.456)

    def point(*args):
        return answer(*args)[0]

    return lost_digits(exactly(point)(bowl, x, *bowl(x), way), x + way)


for NUMBER, NEEDED in ((10, 12), (20, 21), (25, 28)):  # as many as the cases need
    EXERCISE.mistake(
        f"{NUMBER} halvings",
        f"You give up after fewer than {NEEDED} halvings: a direction of the first steps can be "
        "longer than that. Try 30.",
        ("range(31)", f"range({NUMBER + 1})"),
    )

EXERCISE.mistake(
    "asked twice",
    ASKED_AGAIN,
    (
        "new_value, new_gradient = fun(point)",
        "new_value, new_gradient = fun(point)[0], fun(point)[1]",
    ),
)

EXERCISE.mistake(
    "the first length only",
    "Only t = 1 is tried: if that point is not low enough, go on with 1/2, 1/4, ... Or does "
    "a `return None` stand inside the loop?",
    ("range(31)", "range(1)"),
)

EXERCISE.mistake(
    "doubled",
    "The lengths grow, 1, 2, 4, ...: a step that was too long needs a shorter one, 1/2, 1/4, ...",
    ("0.5**halvings", "2.0**halvings"),
)

EXERCISE.mistake(
    "each trial from the one before",
    "A point that was not low enough becomes the x of the next trial: every trial starts from the "
    "x that was given. Use another name for the point.",
    (
        "            return point, new_value, new_gradient",
        "            return point, new_value, new_gradient\n        x = point",
    ),
)

EXERCISE.mistake(
    "the direction projected",
    "The direction is brought into the box, which is one for points: project x + t · direction.",
    (
        "project(x + 0.5**halvings * direction, lower, upper)",
        "x + 0.5**halvings * project(direction, lower, upper)",
    ),
)

EXERCISE.mistake(
    "given up on the direction",
    "You return None where gradient · direction is not negative. On the projected path a part of "
    "the direction can be cut off, and what is left lead down: look at gradient · (point - x).",
    (
        "    for halvings",
        "    if not gradient @ direction < 0:\n        return None\n    for halvings",
    ),
)

EXERCISE.mistake(
    "the lowest of all",
    "You return the lowest of all the points (or the last that is low enough): the first that is "
    "low enough is asked for, and no more need be tried.",
    ("    for halvings", "    best = None\n    for halvings"),
    (
        "            return point, new_value, new_gradient",
        "            if best is None or new_value < best[1]:\n"
        "                best = point, new_value, new_gradient",
    ),
    ("return None", "return best"),
)

EXERCISE.mistake(
    "the slope of the new gradient",
    "The decrease is compared with the slope at the new point: the gradient is the one at x.",
    ("        if not slope < 0:\n            continue\n", ""),
    (
        "new_value, new_gradient = fun(point)\n",
        "new_value, new_gradient = fun(point)\n        slope = new_gradient @ (point - x)\n"
        "        if not slope < 0:\n            continue\n",
    ),
)

EXERCISE.mistake(
    "the old value",
    "The value returned is the one at x: the caller needs the one at the new point.",
    ("return point, new_value", "return point, value"),
)

EXERCISE.mistake(
    "the direction brought to length 1",
    "The direction is divided by its norm: its length is the quasi-Newton step, which is the right "
    "one near a minimum. Begin with t = 1 of the direction as it is.",
    ("    for halvings", "    direction = direction / direction.norm()\n    for halvings"),
)

EXERCISE.mistake(
    "no projection",
    "The points are not brought back into the box.",
    ("project(x + 0.5**halvings * direction, lower, upper)", "x + 0.5**halvings * direction"),
)


@EXERCISE.mistake(
    "stopped at the first bound",
    "The step is cut short where the straight line leaves the box, and there all "
    "variables stop together. On the projected path the one that reaches its bound stays "
    "there while the others go on.",
)
def cut_short(fun, x, value, gradient, direction, lower=0.0, upper=1.0):
    low, high = (torch.as_tensor(b).to(x).expand_as(x) for b in (lower, upper))
    for halvings in range(31):
        move = 0.5**halvings * direction
        room = torch.where(move > 0, high - x, low - x) / move  # of each variable, in moves
        point = x + room[move != 0].clamp(0, 1).min() * move
        slope = gradient @ (point - x)
        new_value, new_gradient = fun(point)
        if slope < 0 and new_value <= value + 1e-4 * slope:
            return point, new_value, new_gradient
    return None


CHORD = (
    "You project once, at t = 1, and then go back on the straight line from x to that point. "
    "Searches of that kind exist, but the path asked for is bent: project x + t · direction anew "
    "for each t. On the straight line all variables shrink together, and one that a bound cut off "
    "has lost its share of the step."
)

ON_THE_CHORD = (
    "for halvings",
    "direction = project(x + direction, lower, upper) - x\n    for halvings",
)

EXERCISE.mistake("on the chord", CHORD, ON_THE_CHORD)

EXERCISE.mistake(
    "on the chord, a positive slope allowed",
    f"{CHORD} A point where the slope is positive must not be taken either.",
    ON_THE_CHORD,
    ("if not slope < 0", "if False"),
)

EXERCISE.mistake(
    "backwards",
    "No point was accepted where one can be found: you go the other way. The path is x + t "
    "· direction, and the direction leads down already.",
    ("x + 0.5**", "x - 0.5**"),
)

EXERCISE.mistake(
    "the box of the defaults",
    "The points are brought into [0, 1], whatever the bounds are: hand `lower` and `upper` "
    "on to `project`.",
    (", lower, upper)", ")"),
)

CUT_OFF = (
    "The decrease is compared with gradient · (t direction), the way without the box: a part of "
    "it is cut off. Compare with gradient · (point - x)."
)

EXERCISE.mistake(
    "slope of the direction",
    CUT_OFF,
    ("gradient @ (point - x)", "gradient @ (0.5**halvings * direction)"),
)

EXERCISE.mistake(
    "slope of the direction, its sign not looked at",
    f"{CUT_OFF} It also has to be negative.",
    ("gradient @ (point - x)", "gradient @ (0.5**halvings * direction)"),
    ("if not slope < 0", "if False"),
)

EXERCISE.mistake(
    "given up at the first slope that is not negative", GIVEN_UP, ("continue", "break")
)

EXERCISE.mistake(
    "any decrease will do",
    "Any lower point is taken, however little lower. Steps that gain next to nothing can "
    "go on for ever without reaching the minimum: ask for 1e-4 of the decrease that the "
    "slope promises.",
    ("new_value <= value + 1e-4 * slope", "new_value < value"),
)

EXERCISE.mistake(
    "all of the promised decrease",
    "The decrease is compared with gradient · (point - x) itself: where the function curves "
    "upwards no step ever keeps all of that promise. Ask for 1e-4 of it.",
    ("1e-4 * slope", "slope"),
)

EXERCISE.mistake(
    "a tenth of the promised decrease",
    "The decrease is compared with a tenth of gradient · (point - x): ask for 1e-4 of it.",
    ("1e-4 * slope", "0.1 * slope"),
)

EXERCISE.mistake(
    "the bar above the old value",
    "The sign of the bar is wrong: value - 1e-4 · slope lies above the old value, since the slope "
    "is negative, and a higher point can be taken. It is value + 1e-4 · slope.",
    ("+ 1e-4 * slope", "- 1e-4 * slope"),
)

EXERCISE.mistake(
    "the square of the gradient",
    "The decrease is compared with t · gradient · gradient, which is right where the direction is "
    "minus the gradient and the box far away. What the slope promises for the way that was made is "
    "gradient · (point - x).",
    ("+ 1e-4 * slope", "- 1e-4 * 0.5**halvings * (gradient @ gradient)"),
)

EXERCISE.mistake(
    "slope of the whole direction",
    "The decrease is compared with gradient · direction, the same for every t: a shorter step is "
    "promised less. Compare with gradient · (point - x).",
    ("gradient @ (point - x)", "gradient @ direction"),
)

EXERCISE.mistake(
    "small slopes not taken",
    "Slopes that are negative and small are taken for none. Near the minimum, and where the "
    "function is flat, they are all small: ask for `slope < 0`.",
    ("slope < 0", "slope < -1e-8"),
)

EXERCISE.mistake(
    "half of the promised decrease",
    "The decrease is compared with half of gradient · (point - x), which many a good step "
    "misses by a little: ask for 1e-4 of it.",
    ("1e-4 * slope", "0.5 * slope"),
)

EXERCISE.mistake(
    "a positive slope allowed",
    "Where gradient · (point - x) is positive, value + 1e-4 · slope lies above the old "
    "value, so that a higher point can be taken for a decrease: go on to the next length "
    "there.",
    ("if not slope < 0", "if False"),
)

EXERCISE.mistake(
    "a step of length 0 allowed",
    "Where every variable is pushed against its bound, the projected path does not move, "
    "and you return x itself as the lower point: gradient · (point - x) has to be "
    "negative, not 0.",
    ("slope < 0", "slope <= 0"),
)

EXERCISE.mistake(
    "the old gradient",
    "The gradient returned is the one at x: the caller needs the one at the new point.",
    ("return point, new_value, new_gradient", "return point, new_value, gradient"),
)

EXERCISE.mistake(
    "first length 1/2",
    "The first length tried is 1/2: begin with 1, the quasi-Newton step itself, which is "
    "the right one near a minimum.",
    ("range(31)", "range(1, 32)"),
)

EXERCISE.mistake(
    "tenths", "The length is divided by 10 each time: halve it.", ("0.5**halvings", "0.1**halvings")
)

EXERCISE.mistake(
    "x when nothing was found",
    "Where no point is low enough you return x as if it were one: return None, so that "
    "the caller can tell.",
    ("return None", "return x, value, gradient"),
)

EXERCISE.mistake(
    "the point alone",
    "This is the point alone: return its value and its gradient, too, which are known "
    "already and need not be computed again.",
    ("return point, new_value, new_gradient", "return point"),
)
