"""Operations on apps. Each step is recorded before it runs, so that the next caller completes it after a crash."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.hosted import instances as containers
from exasol_ci_setup.containers.hosted import names
from exasol_ci_setup.containers.hosted.drains import Drains
from exasol_ci_setup.containers.hosted.nginx import Reload, Site, has_ipv6, render_site
from exasol_ci_setup.containers.hosted.options import AppOptions
from exasol_ci_setup.containers.hosted.state import App, Phase
from exasol_ci_setup.core.errors import (
    AppConflictError,
    AppNotFoundError,
    CertificateError,
    NginxError,
    PortTakenError,
    SetupError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from docker.models.containers import Container
    from docker.models.images import Image

    from exasol_ci_setup.containers.hosted.certificates import Certificates
    from exasol_ci_setup.containers.hosted.instances import Instances
    from exasol_ci_setup.containers.hosted.nginx import Nginx
    from exasol_ci_setup.containers.hosted.settings import Settings
    from exasol_ci_setup.containers.hosted.state import State

MISSING: Final = "That container doesn't exist."
_NGINX_LOCK: Final = "nginx.lock"
_CERTBOT_LOCK: Final = "certbot.lock"
_MAX_PORT_ATTEMPTS: Final = 5

_log = logging.getLogger(__name__)


class Deployments:
    """The apps of one host. Any number of threads and processes may call the methods; calls for one app run sequentially.

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
        self._drains = Drains(state, settings.drain_of(AppOptions()), self._reconcile_later)

    def deploy(self, image: str, *, name: str, variables: Mapping[str, str], parent: str) -> str:
        """Run `image` as the app `name`, replace its current container, and return its first domain.

        The first domain of a new app is its name below the domain `parent`. The new container receives requests once it answers.
        The replaced container is removed later: when it has answered its open requests, or after `drain_seconds` of the settings.
        """
        names.environment(variables)
        with self._lock_app(name) as before:
            self._refuse_foreign_container(name)
            return self._replace(name, before, image, variables, parent)

    def redeploy(self, name: str) -> str:
        """Pull the image of an app again, run it with the same variables, and return the first domain."""
        with self._lock_app(name) as before:
            app = self._require_app(name, before)
            current = containers.variables_of(self._require_container(app))
            variables = {each: current[each] for each in app.env_names if each in current}
            return self._replace(name, app, app.image, variables, "")

    def _replace(self, name: str, before: App | None, wanted: str, variables: Mapping[str, str], parent: str) -> str:
        domain = names.domain_name(f"{name}.{parent}") if before is None else ""
        if domain:
            self._nginx.require_free(domain)
        image = self._instances.fetch_image(wanted)
        try:
            if before is None:
                self._state.add_app(name, wanted, domain)
            # The app has no domain if its last one was assigned to another app.
            host = (self._get_app(name).domains or (name,))[0]
            container, port = self._start_on_free_port(name, image, names.environment(variables))
            containers.wait_until_ready(container, port=port, host=host, seconds=self._settings.answer_seconds)
            self._state.set_container(
                name,
                image=wanted,
                container=container.id or "",
                port=port,
                env_names=sorted(variables),
                drain=self._drains.plan(before),
            )
            self._drains.note_workers(name, self._publish(name).before)
        except BaseException:
            with self._log_errors(name), self._state.reserve.release():
                if before is not None:
                    self._state.restore_app(before)
                else:
                    self._state.set_phase(name, Phase.CREATING)
                self._reconcile(name)
            raise
        _log.info("app %s runs %s", name, wanted)
        try:
            self._ensure_certificates(name)
        finally:
            self._drains.wait(name)
        return host

    def _start_on_free_port(self, name: str, image: Image, variables: Mapping[str, str]) -> tuple[Container, int]:
        tried: set[int] = set()
        while True:
            port = self._state.reserve_port(name, exclude=tried)
            try:
                return self._instances.start(name, image, variables, port), port
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
            summaries[app.name] = {"running": running, "image": app.image, "domains": list(app.domains)}
        for id_, each in found.items():
            if self._instances.is_own(each):
                # The other container of a deployment in progress.
                continue
            name = next(iter(each.get("Names") or ()), id_[:12]).removeprefix("/")
            entry = {"running": each["State"] == "running", "image": each["Image"], "domains": []}
            summaries[id_[:12] if name in summaries else name] = entry
        return dict(sorted(summaries.items()))

    def logs(self, name: str, lines: int) -> str:
        """Return the last `lines` of the log of an app."""
        return containers.logs(self._require_container(self._require_app(name, self._state.app(name))), lines)

    def add_domain(self, name: str, domain: str, *, force: bool) -> None:
        """Add a domain to an app. With `force`, also a domain that belongs to another app."""
        with self._lock_app(name) as app:
            self._require_app(name, app)
            with self._state.lock(_NGINX_LOCK):
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

    def delete(self, name: str, *, purge: bool) -> None:
        """Delete an app; with `purge` also the volume with its data. It works on a full disk."""
        with self._state.reserve.release(), self._lock_app(name) as before:
            app = self._require_app(name, before)
            self._state.set_phase(name, Phase.PURGING if purge else Phase.DELETING)
            try:
                self._unpublish(name)
            except BaseException:
                self._state.restore_app(app)
                raise
            self._reconcile(name)
            _log.info("app %s was deleted", name)

    def recover(self) -> None:
        """Complete the operations of killed workers, and log failures. Apps that another worker has locked are skipped.

        Also log domains of apps that another site of nginx serves: their requests may not reach the apps.
        """
        for name in sorted({app.name for app in self._state.apps()} | self._instances.list_app_names()):
            with self._state.try_lock(name) as free:
                if free:
                    with self._log_errors(name):
                        self._reconcile(name)
        self._drains.wait()
        domains = [domain for app in self._state.apps() for domain in app.domains]
        with contextlib.suppress(NginxError):
            for domain, file in self._nginx.served_elsewhere(domains).items() if domains else ():
                _log.warning("the domain %s also belongs to another site of this nginx: see %s", domain, file)

    def renew(self, *, force: bool = False) -> None:
        """Request missing certificates, and renew those that expire soon, or all with `force`; log failures."""
        if self._certificates is None:
            return
        for app in self._state.apps():
            with self._state.lock(app.name):
                try:
                    self._ensure_certificates(app.name)
                except SetupError as error:
                    _log.warning("%s", error)
        with self._state.lock(_CERTBOT_LOCK):
            try:
                renewed = self._certificates.renew(force=force)
                if renewed:
                    with self._state.lock(_NGINX_LOCK):
                        self._nginx.reload()
                for domain in sorted(renewed):
                    self._certificates.check(domain)
                    _log.info("the certificate of %s was renewed", domain)
            except SetupError as error:
                _log.warning("%s", error)

    @contextlib.contextmanager
    def _lock_app(self, name: str) -> Iterator[App | None]:
        """Lock an app, complete the operation of a killed worker, and yield the app."""
        with self._state.lock(name):
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
            if all_gone:
                self._state.release_ports(name, keep=app.port)
            return
        if app.phase is Phase.PURGING:
            self._instances.remove_volume(name)
        for domain in app.domains if self._certificates is not None else ():
            with self._state.lock(_CERTBOT_LOCK):
                self._delete_certificate(domain)
        self._state.delete_app(name)

    def _synchronize_nginx(self, app: App) -> bool:
        """Configure nginx for the recorded state of an app; return whether its other containers can be removed.

        Operations that do not need nginx must work without it. Raises NginxError for an app in deletion: its port must not be
        reused while nginx still sends requests to it.
        """
        try:
            if app.phase is Phase.READY:
                self._drains.note_workers(app.name, self._publish(app.name).before)
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

    def _reconcile_later(self, name: str) -> None:
        with self._log_errors(name), self._state.lock(name):
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
        with self._state.lock(_NGINX_LOCK):
            return self._publish_locked(name)

    def _publish_locked(self, name: str) -> Reload:
        # Read under the lock: no domain may change between this and the files.
        app = self._get_app(name)
        if app.port is None:
            return Reload()
        options = self._settings.complete(AppOptions())
        files: dict[str, str | None] = {}
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
        with self._state.lock(_NGINX_LOCK):
            # Read under the lock: a domain may have been assigned to another app.
            self._nginx.apply(dict.fromkeys(self._get_app(name).domains))

    def _ensure_certificates(self, name: str, *domains: str) -> None:
        """Request missing certificates for the domains of an app, or for `domains`; check that nginx serves them."""
        if self._certificates is None:
            return
        for domain in domains or self._get_app(name).domains:
            with self._state.lock(_CERTBOT_LOCK):
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
