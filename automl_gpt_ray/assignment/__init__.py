"""Assignment: which registered model trains on which task, and why.

job = read_open_job(values, "job.yaml", folder)
chosen = assign(job.tasks, Registry.read(job.folders))     # a model per task, with reasons and alternatives
"""
