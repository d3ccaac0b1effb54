"""Labels of objects, in files of any kind: tables, workbooks, points, areas, painted images, projects.

A file is read by a function of its format (`objclass.registry.LABEL_FORMATS`) into annotations, which give the class of an
object by its id, by a point in it or by an area. `Labels` finds the objects, of all files together.
"""
