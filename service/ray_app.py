"""The same app on Ray Serve with two replicas: ``python -m service.ray_app``, then POST to 127.0.0.1:8000/predict.

``SERVICE_HOST`` and ``SERVICE_PORT`` say otherwise. ``SERVICE_GRACE`` has no effect: Ray stops its replicas itself.
"""

import os

from ray import serve

from service.app import Settings, create_app

settings = Settings.from_environment(os.environ)


@serve.deployment(
    num_replicas=2,  # two processes, here or on other machines of a Ray cluster
    max_ongoing_requests=64,  # that Ray hands to one of them at a time
    ray_actor_options={"num_cpus": 1},
)
@serve.ingress(lambda: create_app(settings))
class Intents:
    """Each replica builds the app for itself: model, queue, worker and metrics of its own."""


if __name__ == "__main__":
    if not settings.port:
        raise SystemExit("SERVICE_PORT=0: name a port; Ray Serve doesn't say which one it took.")
    serve.start(http_options={"host": settings.host, "port": settings.port})
    serve.run(Intents.bind(), blocking=True)
