"""The builder: one source per lesson, ``solutions/NN_name.py``, and all that is made from it.

How to write a lesson
=====================

A source is Python in the percent format (jupytext opens it in JupyterLab as a notebook). Every
cell begins with a line that names it; the id is a slug, unique in the lesson, and stays when the
text changes, because a learner's answers are carried into a newer lesson by it::

    # %% [markdown] id="intro"
    # # 1. Training
    #
    # Text. A blank line of the text is a lone `#`.

    # %% id="mnist-look"
    test = load_mnist("test")

    # %% id="errors-table" tags=["result"]
    print(f"{error:.2%}")

What a cell's pictures show, for who cannot see them, stands below its header: an alternative text
for all of them (of a slider, what every picture has), or one for each, in their order::

    # %% id="path-figure"
    #| alt: Two curves over the epochs, on a logarithmic scale. The training error falls to
    #| nothing, the test error levels off.
    figures.path(history)

Say what is seen, in a sentence or two, not what the text around it says; a number comes by
``{{=...}}``, as in a text. The notebooks have it in the cell's metadata and in what the cell shows
(:mod:`course_lib.alternatives`). ``course build`` tells a picture that has none.

Tags: ``solution-only`` (the cell is not in the lesson), ``result`` (the unsolved lesson must
print the same here as the solved notebook: a test compares, numbers to a tolerance),
``hide-input``, and nbval's own.

An exercise is three cells: the task, the stub with the solution marked, the check::

    # %% [markdown] id="stable-cross-entropy-task" task="stable-cross-entropy"
    # The task in words. Title, number, difficulty, minutes and the folded hints come from the
    # registry (course_lib.exercises); the builder writes them round this text.

    # %% id="stable-cross-entropy" exercise="stable-cross-entropy"
    def stable_cross_entropy(logits, labels):
        \"""Mean cross-entropy of logits (N, C) and labels (N,), a scalar.\"""
        ### BEGIN SOLUTION
        return (logits.logsumexp(1) - logits[range(len(labels)), labels]).mean()
        ### END SOLUTION

    # %% id="stable-cross-entropy-check" check="stable-cross-entropy"
    stable_cross_entropy = check("stable-cross-entropy", stable_cross_entropy)

In the lesson a solution becomes ``# YOUR CODE HERE`` and a raise. The function is called like the
slug, with underscores. Where the solution is a function of the library, its cell is one line::

    # %% id="weight-decay" exercise="weight-decay"
    ### SOLUTION FROM course_lib.training.weight_decay

(the lesson gets its signature and docstring, the solved notebook the whole; what it uses from its
module must be imported in the lesson). This line is the one place where that is said: the check
engine finds the solution in the lesson's generated references, which import it. A bug hunt: what
the lesson has instead of the solution, right after it, behind ``#|``::

        ### BEGIN SOLUTION
        mean = images.mean(0)
        ### END SOLUTION
        ### BEGIN BUG
        #| mean = images.mean()
        ### END BUG

``### BEGIN STUB`` ... ``### END STUB`` does the same without being a bug hunt, in any cell: for
a prediction or an answer that the solved notebook has and the lesson has not, or for scaffolding::

    # %% id="guess-error"
    ### BEGIN SOLUTION
    predict("fc10-error", (0.07, 0.09))
    ### END SOLUTION
    ### BEGIN STUB
    #| predict("fc10-error", None)   # a number, or (low, high)
    ### END STUB

An ``assert`` without a message speaks to the maintainer: it runs in the solved notebook, and the
lesson has not got it, nor a comment right above that speaks of nothing else. An assert with a
message speaks to the learner and stays. (Cells of exercises keep theirs: those are the learner's.)
Such an assert needs lines of its own, and something beside it in its block and its cell::

    print(f"{ratio:.1f} times")
    assert 3 < ratio < 4  # the text below says so: left out
    assert ratio > 1, "Run the cells above again: the networks are in another order."

In markdown, ``{{exercise:slug}}`` becomes the exercise's number (also of another lesson), and
``{{=paper.TABLE1["FC10(1)"].test_error|.1%}}`` a number: an expression in ``paper`` (the module)
and ``records`` (the committed records, by file name without ``.json``), then a format.

A number that is written out is a problem: a percentage with decimals, and a decimal number of three
significant digits or more that no code cell of the lesson says. (In backquotes, in a formula and in
"What we know now" it may stand.)

The builder puts a cell of its own before the first code of a lesson: it says what to install where
the course is missing.

No magics (``%matplotlib``): notebooks import one style. At most 79 columns in code cells, and in
the lesson at most 25 lines, blank ones and an exercise's stub included.

``course build`` writes ``lessons/NN_name.ipynb``, ``solutions/NN_name.ipynb`` (executed where its
fingerprint says so) and ``course_lib/exercises/_references/NN_name.py``; ``course build --check``
compares without executing. Mistakes in a source are sentences with file and line, all at once,
before anything is executed; that lesson is left as it is, and the others are built. ``course build
03`` judges and builds that lesson alone: the others' headers give the numbers of their exercises.

Parts: :mod:`.source` reads a source, :mod:`.marks` takes its marked solutions apart and
:mod:`.asserts` leaves out what only the maintainer needs, :mod:`.names` knows what Python text
binds and reads, :mod:`.judging` says what is wrong, :mod:`.registry` is what the builder needs of
the exercises, :mod:`.prose` does the mark-up, :mod:`.wording` finds numbers without data and
marks that nobody draws, :mod:`.making` makes one lesson in memory and :mod:`.references` its
references, :mod:`.described` gives its pictures their texts, :mod:`.files` writes or compares its
files, :mod:`.build` judges and makes the lessons asked for, :mod:`.execute` runs a notebook and
cleans its outputs, :mod:`.results` compares what cells print.
"""
