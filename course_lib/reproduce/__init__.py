"""The whole paper beside what came out here: tables, figures, and a verdict on each claim.

What is measured, and how it is done:

``task``, ``tasks``  one measurement; all of them, by table and by mode; the records made of them
``networks``, ``distortions``, ``transfers``, ``agreement``, ``semantics``, ``norms``, ``pictures``,
              ``formulas``  what is measured, a module for each record or part of one
``running``   tasks done one by one, each result kept; what is left; what is finished
``helpers``, ``cluster``  several at a time: processes on this machine, workers of a Dask cluster
``folder``    the records in the folder of a run, and what made them
``command``   ``course reproduce``

What is said of it, from the records alone:

``claim``, ``claims``, ``tabled``  every claim of the paper, with its measure and its rule
``verdicts``  the rules
``evidence``, ``findings``, ``stretching``, ``trained``  what the records say to each claim
``tables``, ``figures``  the paper's tables beside ours; the figures with alternative texts
``report``, ``report_text``, ``page``, ``showing``  JSON, Markdown and one page of HTML
"""
