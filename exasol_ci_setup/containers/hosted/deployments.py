"""Operations on apps. Each step is recorded before it runs, so that the next caller completes it after a crash."""

from __future__ import annotations

import contextlib
import logging
import threading
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.hosted import instances as containers
from exasol_ci_setup.containers.hosted import names
from exasol_ci_setup.containers.hosted.drains import Drains
from exasol_ci_setup.containers.hosted.locks import AppLocks
from exasol_ci_setup.containers.hosted.nginx import Reload, Site, has_ipv6, render_api_site, render_site
from exasol_ci_setup.containers.hosted.releases import Release, Releases, find_changes
from exasol_ci_setup.containers.hosted.state import App, Phase
from exasol_ci_setup.core.errors import (
    AppConflictError,
    AppNotFoundError,
    CertificateError,
    EngineError,
    NginxError,
    PortTakenError,
    SetupError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker.models.containers import Container
    from docker.models.images import Image
    from docker.types import CancellableStream

    from exasol_ci_setup.containers.hosted.certificates import Certificates
    from exasol_ci_setup.containers.hosted.instances import Instances
    from exasol_ci_setup.containers.hosted.nginx import Nginx
    from exasol_ci_setup.containers.hosted.settings import Settings
    from exasol_ci_setup.containers.hosted.state import PastRelease, State

MISSING: Final = "That container doesn't exist."
OWN_DOMAIN: Final = "That domain belongs to this service."
_MAX_PORT_ATTEMPTS: Final = 5
_KEPT_IMAGES: Final = 5

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def _collect_errors(problems: list[SetupError]) -> Iterator[None]:
    try:
        yield
    except SetupError as error:
        problems.append(error)


class Deployments:
    """The apps of one host. Any number of threads may call the methods; calls for one app run sequentially.

    The methods raise AppNotFoundError, AppConflictError and AppDoesNotAnswerError for the app, InputError for invalid input, and EngineError, NginxError
    and CertificateError for Docker, nginx and certbot. After an error, the previous state is restored. After a CertificateError,
    the app is deployed and only the certificate is missing.
    """

    def __init__(
        self, settings: Settings, state: State, instances: Instances, nginx: Nginx, certificates: Certificates | None
    ) -> None:
        """If `certificates` is None, apps are served without TLS."""
        self._settings = settings
        self._state = state
        self._instances = instances
        self._nginx = nginx
        self._certificates = certificates
        self._releases = Releases(settings.state)
        self._drains = Drains(state, settings.drain_of, self._reconcile_later)
        self.locks = AppLocks()
        # Acquired after the lock of an app.
        self._certbot_lock = threading.Lock()
        self._nginx_lock = threading.Lock()

    def deploy(self, name: str, release: Release, *, parent: str) -> str:
        """Run a release as the app `name`, replace its current container, and return its first domain.

        The first domain of a new app is its name below the domain `parent`. The new container receives requests once it is ready.
        The replaced container is removed later: when it has answered its open requests, or after the drain time of the settings.
        """
        names.environment(release.variables)
        with self._lock_app(name) as before:
            self._refuse_foreign_container(name)
            return self._replace(name, before, release, parent)

    def redeploy(
        self, name: str, *, image: str | None, variables: Mapping[str, str | None], options: Mapping[str, Any]
    ) -> str:
        """Pull the image of an app again, or another `image`, run it, and return the first domain.

        Variables and options keep their values, except those that are passed. None removes a variable, or resets an option.
        """
        with self._lock_app(name) as before:
            app = self._require_app(name, before)
            merged = {**self._current_variables(app, self._require_container(app)), **variables}
            kept = {each: value for each, value in merged.items() if value is not None}
            names.environment(kept)
            release = Release(image or app.image, kept, app.options.model_copy(update=dict(options)))
            return self._replace(name, app, release, "")

    def rollback(self, name: str) -> str:
        """Run the release that the current container has replaced, and return the first domain.

        Raises AppConflictError if the app has no previous release, or the image of that release was removed.
        """
        with self._lock_app(name) as before:
            app = self._require_app(name, before)
            release = self._releases.load(name, app.previous)
            if release is None:
                raise AppConflictError("That container has no previous release.")
            return self._replace(name, app, release, "")

    def _replace(self, name: str, before: App | None, release: Release, parent: str) -> str:
        domain = names.domain_name(f"{name}.{parent}") if before is None else ""
        if domain:
            self._require_not_own(domain)
            self._nginx.require_free(domain)
        image = self._find_image(release)
        try:
            if before is None:
                self._state.add_app(name, release.image, domain)
            app = self._get_app(name)
            self._state.note_image(name, image.id or "")
            container, port = self._start_on_free_port(name, image, release)
            # The app has no domain if its last one was removed or assigned to another app.
            host = (app.domains or (name,))[0]
            containers.wait_until_ready(
                container,
                port=port,
                host=host,
                seconds=self._settings.answer_seconds,
                health_path=release.options.health_path,
            )
            previous = self._save_release(before)
            changes = find_changes(self._releases.load(name, previous), replace(release, image_id=image.id))
            after = replace(
                app,
                image=release.image,
                image_id=image.id,
                phase=Phase.READY,
                container=container.id,
                port=port,
                env_names=tuple(sorted(release.variables)),
                should_run=True,
                options=release.options,
                previous=previous,
            )
            self._state.save_app(after, drain=self._drains.plan(before), changes=changes)
            self._drains.note_workers(before or after, self._publish(name).before)
        except BaseException:
            with self._log_errors(name), self._state.reserve.release():
                if before is not None:
                    self._state.save_app(before)
                else:
                    self._state.set_phase(name, Phase.CREATING)
                self._reconcile(name)
            raise
        _log.info("app %s runs %s", name, release.image)
        self._releases.delete_others(name, keep=after.previous)
        try:
            self._ensure_certificates(name)
        finally:
            self._drains.wait(name)
        return host

    def _find_image(self, release: Release) -> Image:
        if release.image_id is None:
            return self._instances.fetch_image(release.image)
        image = self._instances.find_image(release.image_id)
        if image is None:
            raise AppConflictError(f"The image {release.image} of the previous release was removed from this machine.")
        return image

    def _save_release(self, app: App | None) -> str | None:
        """Store the release that an app runs, and return the ID of its container; None if it cannot be restored."""
        container = self._instances.get(app.container) if app is not None else None
        if app is None or container is None or container.id is None:
            return None
        variables = self._current_variables(app, container)
        release = Release(app.image, variables, app.options, str(container.attrs["Image"]))
        self._releases.save(app.name, container.id, release)
        return container.id

    def _current_variables(self, app: App, container: Container) -> dict[str, str]:
        """Return the variables of the request that created a container, without those of the image."""
        current = containers.variables_of(container)
        return {each: current[each] for each in app.env_names if each in current}

    def _start_on_free_port(self, name: str, image: Image, release: Release) -> tuple[Container, int]:
        variables, options = names.environment(release.variables), self._settings.complete(release.options)
        tried: set[int] = set()
        while True:
            port = self._state.reserve_port(name, exclude=tried)
            try:
                return self._instances.start(name, image, variables, port=port, options=options), port
            except PortTakenError:
                # Another process has taken the port after the check.
                tried.add(port)
                if len(tried) == _MAX_PORT_ATTEMPTS:
                    raise

    def run(self, name: str) -> None:
        """Start a stopped app."""
        with self._lock_app(name) as app:
            container = self._require_container(self._require_app(name, app))
            if containers.is_running(container):
                raise AppConflictError("That container is already running.")
            with self._record_intent(name, should_run=True):
                self._instances.run(container)

    def stop(self, name: str) -> None:
        """Stop a running app gracefully. It works on a full disk."""
        with self._state.reserve.release(), self._lock_app(name) as app:
            container = self._require_container(self._require_app(name, app))
            if not container.attrs["State"]["Running"]:
                raise AppConflictError("That container isn't running.")
            with self._record_intent(name, should_run=False):
                self._instances.stop(container)

    def overview(self) -> dict[str, dict[str, Any]]:
        """Return the status, image and domains of each container on this machine, by name."""
        found = {each["Id"]: each for each in self._instances.list_all()}
        summaries: dict[str, dict[str, Any]] = {}
        for app in self._state.apps():
            if app.container is None:
                continue
            running = found.pop(app.container, {}).get("State") == "running"
            summaries[app.name] = {"running": running, "image": app.image, **self._describe_domains(app)}
        for id_, each in found.items():
            if self._instances.is_own(each):
                # The other container of a deployment in progress.
                continue
            name = next(iter(each.get("Names") or ()), id_[:12]).removeprefix("/")
            entry = {"running": each["State"] == "running", "image": each["Image"], "domains": []}
            summaries[id_[:12] if name in summaries else name] = entry
        return dict(sorted(summaries.items()))

    def describe(self, name: str) -> dict[str, Any]:
        """Return the status, domains, limits and names of variables of an app, and whether it answers now."""
        app = self._require_app(name, self._state.app(name))
        container = self._instances.get(app.container)
        options = self._settings.complete(app.options)
        if container is not None:
            # Later defaults of the service apply to new containers only.
            options = options.model_copy(update=containers.limits_of(container))
        release = next(iter(self._state.releases(name)), None)
        return {
            "name": name,
            "image": app.image,
            "running": container is not None and containers.is_running(container),
            "health": self._check_health(app, container),
            "release": release.number if release is not None else None,
            "deployed": release.at if release is not None else None,
            **self._describe_domains(app),
            "variables": list(app.env_names),
            **options.model_dump(),
        }

    def _check_health(self, app: App, container: Container | None) -> str:
        if container is None or app.port is None:
            return "missing"
        if not container.attrs["State"]["Running"]:
            return "stopped"
        host = (app.domains or (app.name,))[0]
        status = containers.request_status(app.port, host, app.options.health_path)
        return "healthy" if containers.is_healthy(status, app.options.health_path) else "unhealthy"

    def _describe_domains(self, app: App) -> dict[str, Any]:
        """Return the domains of an app, and if the service requests certificates, the domains with one."""
        if self._certificates is None:
            return {"domains": list(app.domains)}
        tls = [domain for domain in app.domains if self._certificates.exists(domain)]
        return {"domains": list(app.domains), "tls": tls}

    def releases(self, name: str) -> tuple[PastRelease, ...]:
        """Return the last releases of an app, the newest first. The first one runs."""
        self._require_app(name, self._state.app(name))
        return self._state.releases(name)

    def logs(self, name: str, lines: int) -> str:
        """Return the last `lines` of the log of an app."""
        return containers.logs(self._require_container(self._require_app(name, self._state.app(name))), lines)

    def follow_log(self, name: str, lines: int) -> CancellableStream[bytes]:
        """Return the last `lines` of the log of an app, and later output until its container ends."""
        return containers.follow_log(self._require_container(self._require_app(name, self._state.app(name))), lines)

    def add_domain(self, name: str, domain: str, *, force: bool) -> None:
        """Add a domain to an app. With `force`, also a domain that belongs to another app."""
        self._require_not_own(domain)
        with self._lock_app(name) as app:
            self._require_app(name, app)
            with self._nginx_lock:
                owner, position = self._state.domain_owner(domain), self._state.domain_position(domain)
                if owner not in {None, name} and not force:
                    raise AppConflictError(f"That domain belongs to {owner}.")
                if owner is None:
                    self._nginx.require_free(domain)
                if owner != name:
                    self._state.assign_domain(domain, name)
                try:
                    self._publish_locked(name)
                except BaseException:
                    if owner != name:
                        self._state.assign_domain(domain, owner, position=position)
                    raise
            self._ensure_certificates(name, domain)

    def remove_domain(self, name: str, domain: str) -> None:
        """Remove a domain from an app, with its certificate. Raises AppNotFoundError if the app does not have it."""
        with self._lock_app(name) as app:
            self._require_app(name, app)
            with self._nginx_lock:
                position = self._state.domain_position(domain)
                if self._state.domain_owner(domain) != name:
                    raise AppNotFoundError(f"That container doesn't have the domain {domain}.")
                self._state.assign_domain(domain, None)
                try:
                    self._publish_locked(name)
                except BaseException:
                    self._state.assign_domain(domain, name, position=position)
                    raise
            with self._certbot_lock:
                self._delete_certificate(domain)

    def delete(self, name: str, *, purge: bool) -> None:
        """Delete an app; with `purge` also the volume with its data. It works on a full disk."""
        with self._state.reserve.release(), self._lock_app(name) as before:
            app = self._require_app(name, before)
            self._state.set_phase(name, Phase.PURGING if purge else Phase.DELETING)
            try:
                self._unpublish(name)
            except BaseException:
                self._state.save_app(app)
                raise
            self._reconcile(name)
            _log.info("app %s was deleted", name)

    def recover(self) -> None:
        """Complete the operations of a killed process, and log failures.

        Also log domains of apps that another site of nginx serves: their requests may not reach the apps.
        """
        for name in sorted({app.name for app in self._state.apps()} | self._instances.list_app_names()):
            with self.locks.lock(name), self._log_errors(name):
                self._reconcile(name)
        self._drains.wait()
        domains = [domain for app in self._state.apps() for domain in app.domains]
        with contextlib.suppress(NginxError):
            for domain, file in self._nginx.served_elsewhere(domains).items() if domains else ():
                _log.warning("the domain %s also belongs to another site of this nginx: see %s", domain, file)

    def end(self) -> None:
        """Complete the removals of replaced containers in progress, and end the background threads."""
        self._drains.end()

    def renew(self, *, force: bool = False) -> None:
        """Request missing certificates, also that of the API, and renew those that expire soon, or all with `force`.

        Raises the first error after all certificates; other errors are logged.
        """
        certificates = self._certificates
        if certificates is None:
            return
        actions = [partial(self._ensure_unlocked, app.name, certificates) for app in self._state.apps()]
        if self._settings.domain is not None:
            actions.insert(0, partial(self._ensure_api_certificate, self._settings.domain, certificates))
        problems: list[SetupError] = []
        for action in (*actions, partial(self._renew_existing, certificates, force=force)):
            with _collect_errors(problems):
                action()
        for problem in problems[1:]:
            _log.warning("%s", problem)
        if problems:
            raise problems[0]

    def _ensure_unlocked(self, name: str, certificates: Certificates) -> None:
        """Request the missing certificates of an app, unless an operation on it is in progress.

        An operation can take long, such as the pull of a large image. The certificates of other apps must not wait for it.
        """
        with self.locks.try_lock(name) as is_free:
            app = self._state.app(name)
            if is_free and app is not None:
                self._ensure_certificates(name)
            elif app is not None and (missing := [each for each in app.domains if not certificates.exists(each)]):
                raise CertificateError(f"{missing[0]} has no certificate: an operation on {name} is in progress")

    def _ensure_api_certificate(self, domain: str, certificates: Certificates) -> None:
        """Request a missing certificate for the domain of the API, and serve the API with TLS."""
        with self._certbot_lock:
            if certificates.find_directory(domain) is None:
                certificates.obtain(domain)
            directory = certificates.find_directory(domain)
            if directory is None:
                return
            text = render_api_site(domain, state=self._settings.state, certificate=directory, ipv6=has_ipv6())
            with self._nginx_lock:
                self._nginx.apply({domain: text}, own=domain)
            certificates.check(domain)

    def _renew_existing(self, certificates: Certificates, *, force: bool) -> None:
        with self._certbot_lock:
            renewed = certificates.renew(force=force)
            if renewed:
                with self._nginx_lock:
                    self._nginx.reload()
            for domain in sorted(renewed):
                certificates.check(domain)
                _log.info("the certificate of %s was renewed", domain)

    @contextlib.contextmanager
    def _lock_app(self, name: str) -> Iterator[App | None]:
        """Lock an app, complete an operation that failed midway, and yield the app."""
        with self.locks.lock(name):
            self._reconcile(name)
            yield self._state.app(name)

    @contextlib.contextmanager
    def _record_intent(self, name: str, *, should_run: bool) -> Iterator[None]:
        """Record whether an app should run; revert the record on an error."""
        self._state.set_should_run(name, should_run=should_run)
        try:
            yield
        except BaseException:
            self._state.set_should_run(name, should_run=not should_run)
            raise

    @contextlib.contextmanager
    def _log_errors(self, name: str) -> Iterator[None]:
        """Log a failed cleanup of an app. The next operation on the app retries it."""
        try:
            yield
        except SetupError as error:
            _log.warning("app %s cannot be cleaned up: %s", name, error)

    def _require_app(self, name: str, app: App | None) -> App:
        if app is None or app.phase is Phase.CREATING:
            self._refuse_foreign_container(name)
            raise AppNotFoundError(MISSING)
        return app

    def _require_not_own(self, domain: str) -> None:
        """Raise AppConflictError for a domain of the API: nginx would send requests for the API, with the key, to an app."""
        if domain in (self._settings.hosts or ()):
            raise AppConflictError(OWN_DOMAIN)

    def _get_app(self, name: str) -> App:
        app = self._state.app(name)
        if app is None:
            raise AppNotFoundError(MISSING)
        return app

    def _refuse_foreign_container(self, name: str) -> None:
        for each in self._instances.list_all():
            if f"/{name}" in (each.get("Names") or ()):
                raise AppConflictError("That container was not created by this service.")

    def _require_container(self, app: App) -> Container:
        container = self._instances.get(app.container)
        if container is None:
            raise AppConflictError("That container was removed by another program; deploy it again.")
        return container

    def _reconcile(self, name: str) -> None:
        """Apply the recorded state of an app: configure nginx, and remove all containers except the recorded one."""
        app = self._state.app(name)
        keep = app.container if app is not None and app.phase is Phase.READY else None
        if app is not None and not self._synchronize_nginx(app):
            return
        all_gone = self._remove_containers(name, keep=keep)
        if app is None:
            return
        if keep is not None:
            self._releases.delete_others(name, keep=app.previous)
            self._remove_images(app)
            if all_gone:
                self._state.release_ports(name, keep=app.port)
            return
        if app.phase is Phase.PURGING:
            self._instances.remove_volume(name)
        self._instances.remove_network(name)
        self._releases.delete_others(name, keep=None)
        self._remove_images(app)
        for domain in app.domains if self._certificates is not None else ():
            with self._certbot_lock:
                self._delete_certificate(domain)
        self._state.delete_app(name)

    def _synchronize_nginx(self, app: App) -> bool:
        """Configure nginx for the recorded state of an app; return whether its other containers can be removed.

        Operations that do not need nginx must work without it. Raises NginxError for an app in deletion: its port must not be
        reused while nginx still sends requests to it.
        """
        try:
            if app.phase is Phase.READY:
                self._drains.note_workers(app, self._publish(app.name).before)
            else:
                self._unpublish(app.name)
        except (NginxError, AppConflictError) as error:
            if app.phase in {Phase.DELETING, Phase.PURGING}:
                raise
            _log.warning("nginx does not serve the recorded state of app %s: %s", app.name, error)
            # nginx has no configuration for a new app yet.
            return app.phase is Phase.CREATING
        return True

    def _remove_containers(self, name: str, *, keep: str | None) -> bool:
        """Remove the containers of an app except `keep`; return whether no replaced container remains.

        A replaced container that still answers requests remains.
        """
        # The containers of a deleted app are removed without waiting for open requests.
        answering = self._drains.active_containers() if keep is not None else set()
        left: set[str] = set()
        for container in self._instances.list_app(name):
            if container.id in answering and container.id != keep:
                left.add(container.id or "")
            elif container.id != keep:
                self._instances.remove(container)
        self._state.delete_drains(name, keep=left)
        return not left

    def _remove_images(self, app: App) -> None:
        """Remove old images of an app, except the last ones, and those of its current and its previous release.

        If the app is not ready, remove all its images. Images that other apps have used are kept.
        """
        kept: set[str | None] = set()
        used = self._state.images(app.name)
        if app.phase is Phase.READY and len(used) > _KEPT_IMAGES:
            previous = self._releases.load(app.name, app.previous)
            kept = {app.image_id, previous.image_id if previous is not None else None, *used[:_KEPT_IMAGES]}
        elif app.phase is Phase.READY:
            return
        for image in used:
            if image in kept:
                continue
            try:
                if self._state.is_image_of_another(app.name, image) or self._instances.remove_image(image):
                    self._state.forget_image(app.name, image)
            except EngineError as error:
                _log.warning("an old image of app %s remains: %s", app.name, error)

    def _reconcile_later(self, name: str) -> None:
        with self._log_errors(name), self.locks.lock(name):
            self._reconcile(name)

    def _delete_certificate(self, domain: str) -> None:
        try:
            if self._certificates is not None:
                self._certificates.forget(domain)
        except CertificateError as error:
            # Without the domain it cannot be renewed, so it may remain.
            _log.warning("%s", error)

    def _publish(self, name: str) -> Reload:
        """Configure nginx to send the requests for the domains of an app to its container."""
        with self._nginx_lock:
            return self._publish_locked(name)

    def _publish_locked(self, name: str) -> Reload:
        # Read under the lock: no domain may change between this and the files.
        app = self._get_app(name)
        if app.port is None:
            return Reload()
        options = self._settings.complete(app.options)
        assigned = {domain for each in self._state.apps() for domain in each.domains}
        if self._certificates is not None and self._settings.domain is not None:
            assigned.add(self._settings.domain)
        # A domain without an app was removed.
        files: dict[str, str | None] = dict.fromkeys(self._nginx.domains() - assigned)
        for domain in app.domains:
            certificates = self._certificates
            site = Site(
                domain,
                name,
                app.port,
                max_body=options.max_body or 0,
                timeout=options.timeout or 0,
                certificate=certificates.find_directory(domain) if certificates is not None else None,
            )
            acme = certificates.webroot if certificates is not None else None
            files[domain] = render_site(site, acme=acme, ipv6=has_ipv6())
        return self._nginx.apply(files)

    def _unpublish(self, name: str) -> None:
        with self._nginx_lock:
            # Read under the lock: a domain may have been assigned to another app.
            self._nginx.apply(dict.fromkeys(self._get_app(name).domains))

    def _ensure_certificates(self, name: str, *domains: str) -> None:
        """Request missing certificates for the domains of an app, or for `domains`; check that nginx serves them."""
        if self._certificates is None:
            return
        for domain in domains or self._get_app(name).domains:
            with self._certbot_lock:
                if self._certificates.find_directory(domain) is not None:
                    continue
                # Another site of nginx may serve the domain; that site must keep it.
                self._nginx.require_free(domain)
                try:
                    self._certificates.obtain(domain)
                    self._publish(name)
                    self._certificates.check(domain)
                except CertificateError as error:
                    raise CertificateError(f"The app is served without TLS: {error.message}") from error
