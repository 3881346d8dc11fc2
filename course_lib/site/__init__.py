"""The course as a site of plain files: ``course site``.

::

    course site                                # the whole course, into site/
    course site --guide                        # with the instructor's guide: it holds the solutions
    course site --lessons 04,05 --output /tmp/s

The solved lessons with the outputs that they have (nothing is run), the report of ``course
reproduce``, the glossary in English and Arabic, the pages of docs/, and every module of
``course_lib``. No page asks another host for anything: formulas are set by a MathJax that lies
beside them. Sphinx builds it, with myst-nb and furo; they come with the extra ``site``.

Nothing is written by hand for the site but its first page. What a figure shows is said in words
by the lesson's author (:mod:`course_lib.alternatives`).

Parts: :mod:`.notebooks` makes a page of a lesson, :mod:`.texts` pages of Markdown with links that
lead somewhere, :mod:`.api` the pages of the modules, :mod:`.pages` all files that Sphinx reads,
:mod:`.writing` runs it and puts the site into a folder of its own. ``sphinx/`` has Sphinx's
settings, the style and a short script.
"""
