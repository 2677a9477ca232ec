"""Decoding of images in processes of their own, so that a hostile file can neither block nor crash the service.

decoder.py        what is done with one image: `Task`, `Reply`, `Decoder`
worker_process.py the program of a worker: receives tasks, and keeps to its limits of memory and CPU time
fork_server.py    the program that has imported every reader, and forks the workers
messages.py       the form in which tasks and replies pass between the service and a worker
workers.py        the service's side: a worker process, and the thread that takes its place if there are none
fork_client.py    the service's side of the fork server
pool.py           gives tasks to free workers, replaces workers that ended, and keeps the order fair
framed_file.py    a file of which every frame is decoded
"""
