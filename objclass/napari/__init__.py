"""The napari plug-in: widgets that show a labelling session and change it. All else is done by `objclass.session`."""
