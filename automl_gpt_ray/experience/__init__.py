"""Experience: what finished runs leave behind for later ones on similar data.

store = ExperienceStore("runs/experience")        # or s3://bucket/folder, gs://bucket/folder
store.append(experience_of("runs/iris-20250101-120000"))
recollection = recall(store, brief, ExperienceOptions())
"""
