"""What can be done with apps: each step is noted before it is taken, so that after a crash the next caller ends what was begun."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

from exasol_ci_setup.containers.hosted import instances as containers
from exasol_ci_setup.containers.hosted import names
from exasol_ci_setup.containers.hosted.drains import Drains
from exasol_ci_setup.containers.hosted.nginx import Reload, Site, render_site
from exasol_ci_setup.containers.hosted.state import App, Phase
from exasol_ci_setup.errors import AppConflict, AppNotFound, CertificateError, EngineError, NginxError, SetupError

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
_PORT_TRIES: Final = 5
_PORT_TAKEN: Final = ("port is already allocated", "address already in use")

_log = logging.getLogger(__name__)


class Deployments:
    """The apps of one host. Its methods may be called by any number of threads and processes at once; those on one app take turns.

    All of them raise SetupError's kinds: AppNotFound, AppConflict and AppFailed for the app, InputError for what was sent, EngineError,
    NginxError and CertificateError for the programs behind. After each error everything is as it was before, but for CertificateError:
    then only the certificate is missing.
    """

    def __init__(
        self, settings: Settings, state: State, instances: Instances, nginx: Nginx, certificates: Certificates | None
    ) -> None:
        """Without `certificates` there is no TLS."""
        self._settings = settings
        self._state = state
        self._instances = instances
        self._nginx = nginx
        self._certificates = certificates
        self._drains = Drains(state, settings.drain_seconds, self._tidy_later)

    def deploy(self, image: str, *, name: str, variables: Mapping[str, str], parent: str) -> str:
        """Run `image` as the app `name`, in place of what it runs now, and return its first domain.

        A new app gets the name below the domain `parent`. The new container gets the requests once it answers. The one before is removed
        after this has returned, when it has answered those that it has, or after the `drain_seconds` of the settings.
        """
        names.environment(variables)
        with self._app(name) as before:
            self._refuse_a_strangers(name)
            return self._replace(name, before, image, variables, parent)

    def redeploy(self, name: str) -> str:
        """Run an app's image again, pulled anew, with the variables that the app has; return its first domain."""
        with self._app(name) as before:
            app = self._known(name, before)
            there = containers.variables_of(self._container(app))
            variables = {each: there[each] for each in app.env_names if each in there}
            return self._replace(name, app, app.image, variables, "")

    def _replace(self, name: str, before: App | None, wanted: str, variables: Mapping[str, str], parent: str) -> str:
        domain = names.domain_name(f"{name}.{parent}") if before is None else ""
        if domain:
            self._nginx.require_free(domain)
        image = self._instances.fetch(wanted)
        try:
            if before is None:
                self._state.begin(name, wanted, domain)
            # The last of its domains may have been taken from it.
            host = (self._state_of(name).domains or (name,))[0]
            container, port = self._started(name, image, names.environment(variables))
            containers.wait_until_it_answers(container, port=port, host=host, seconds=self._settings.answer_seconds)
            self._state.settle(
                name,
                image=wanted,
                container=container.id or "",
                port=port,
                env_names=sorted(variables),
                drain=self._drains.of(before),
            )
            self._drains.note_workers(name, self._publish(name).before)
        except BaseException:
            with self._logged(name), self._state.reserve.released():
                if before is not None:
                    self._state.restore(before)
                else:
                    self._state.mark(name, Phase.MAKING)
                self._tidy(name)
            raise
        _log.info("app %s runs %s", name, wanted)
        try:
            self._secure(name)
        finally:
            self._drains.wait(name)
        return host

    def _started(self, name: str, image: Image, variables: Mapping[str, str]) -> tuple[Container, int]:
        tried: set[int] = set()
        while True:
            port = self._state.reserve_port(name, besides=tried)
            try:
                return self._instances.start(name, image, variables, port), port
            except EngineError as error:
                # Somebody took it since it was looked at.
                tried.add(port)
                if len(tried) == _PORT_TRIES or not any(each in error.message for each in _PORT_TAKEN):
                    raise

    def run(self, name: str) -> None:
        """Start a stopped app."""
        with self._app(name) as app:
            container = self._container(self._known(name, app))
            if containers.is_running(container):
                raise AppConflict("That container is already running.")
            with self._intended(name, should_run=True):
                self._instances.run(container)

    def stop(self, name: str) -> None:
        """Stop a running app gracefully. It works on a full disk."""
        with self._state.reserve.released(), self._app(name) as app:
            container = self._container(self._known(name, app))
            if not container.attrs["State"]["Running"]:
                raise AppConflict("That container isn't running.")
            with self._intended(name, should_run=False):
                self._instances.stop(container)

    def overview(self) -> dict[str, dict[str, Any]]:
        """Return what runs on this machine, by name: whether each container runs, its image, and the domains of those that are apps."""
        found = {each["Id"]: each for each in self._instances.everything()}
        shown: dict[str, dict[str, Any]] = {}
        for app in self._state.apps():
            if app.container is None:
                continue
            running = found.pop(app.container, {}).get("State") == "running"
            shown[app.name] = {"running": running, "image": app.image, "domains": list(app.domains)}
        for id_, each in found.items():
            if self._instances.is_ours(each):
                # The other half of a deployment under way.
                continue
            name = next(iter(each.get("Names") or ()), id_[:12]).removeprefix("/")
            entry = {"running": each["State"] == "running", "image": each["Image"], "domains": []}
            shown[id_[:12] if name in shown else name] = entry
        return dict(sorted(shown.items()))

    def logs(self, name: str, lines: int) -> str:
        """Return the last `lines` of what an app wrote."""
        return containers.logs(self._container(self._known(name, self._state.app(name))), lines)

    def add_domain(self, name: str, domain: str, *, force: bool) -> None:
        """Let an app answer for a domain, too. One that another app has is taken from it only by `force`."""
        with self._app(name) as app:
            self._known(name, app)
            with self._state.locked(_NGINX_LOCK):
                owner, place = self._state.owner(domain), self._state.place(domain)
                if owner not in {None, name} and not force:
                    raise AppConflict(f"That domain belongs to {owner}.")
                if owner is None:
                    self._nginx.require_free(domain)
                if owner != name:
                    self._state.give(domain, name)
                try:
                    self._publish_locked(name)
                except BaseException:
                    if owner != name:
                        self._state.give(domain, owner, place=place)
                    raise
            self._secure(name, domain)

    def delete(self, name: str, *, purge: bool) -> None:
        """Remove an app; with `purge` the volume with what it has saved, too. It works on a full disk."""
        with self._state.reserve.released(), self._app(name) as before:
            app = self._known(name, before)
            self._state.mark(name, Phase.PURGING if purge else Phase.DELETING)
            try:
                self._withdraw(name)
            except BaseException:
                self._state.restore(app)
                raise
            self._tidy(name)
            _log.info("app %s was deleted", name)

    def recover(self) -> None:
        """End what was begun by workers that are gone, and log what cannot be. Apps that another worker is at are left to it.

        Log the domains of apps that another site of nginx has, too: their requests may not reach the apps.
        """
        for name in sorted({app.name for app in self._state.apps()} | self._instances.apps()):
            with self._state.locked_if_free(name) as free:
                if free:
                    with self._logged(name):
                        self._tidy(name)
        self._drains.wait()
        domains = [domain for app in self._state.apps() for domain in app.domains]
        with contextlib.suppress(NginxError):
            for domain, file in self._nginx.served_elsewhere(domains).items() if domains else ():
                _log.warning("the domain %s belongs to another site of this nginx, too: see %s", domain, file)

    def renew(self, *, force: bool = False) -> None:
        """Get the certificates that are missing and renew those that end soon, or all by `force`; log what cannot be."""
        if self._certificates is None:
            return
        for app in self._state.apps():
            with self._state.locked(app.name):
                try:
                    self._secure(app.name)
                except SetupError as error:
                    _log.warning("%s", error)
        with self._state.locked(_CERTBOT_LOCK):
            try:
                renewed = self._certificates.renew(force=force)
                if renewed:
                    with self._state.locked(_NGINX_LOCK):
                        self._nginx.reload()
                for domain in sorted(renewed):
                    self._certificates.check(domain)
                    _log.info("the certificate of %s was renewed", domain)
            except SetupError as error:
                _log.warning("%s", error)

    @contextlib.contextmanager
    def _app(self, name: str) -> Iterator[App | None]:
        """Hold the lock of an app, and give it as it is after what a killed worker began has been ended."""
        with self._state.locked(name):
            self._tidy(name)
            yield self._state.app(name)

    @contextlib.contextmanager
    def _intended(self, name: str, *, should_run: bool) -> Iterator[None]:
        """Note whether an app should run, unless what is done inside fails."""
        self._state.intend(name, should_run=should_run)
        try:
            yield
        except BaseException:
            self._state.intend(name, should_run=not should_run)
            raise

    @contextlib.contextmanager
    def _logged(self, name: str) -> Iterator[None]:
        """Log that an app could not be tidied up. The next who does something with it tries again."""
        try:
            yield
        except SetupError as error:
            _log.warning("app %s cannot be tidied up: %s", name, error)

    def _known(self, name: str, app: App | None) -> App:
        if app is None or app.phase is Phase.MAKING:
            self._refuse_a_strangers(name)
            raise AppNotFound(MISSING)
        return app

    def _state_of(self, name: str) -> App:
        app = self._state.app(name)
        if app is None:
            raise AppNotFound(MISSING)
        return app

    def _refuse_a_strangers(self, name: str) -> None:
        for each in self._instances.everything():
            if f"/{name}" in (each.get("Names") or ()):
                raise AppConflict("That container was not made by this service.")

    def _container(self, app: App) -> Container:
        container = self._instances.get(app.container)
        if container is None:
            raise AppConflict("That container was removed by somebody else; deploy it anew.")
        return container

    def _tidy(self, name: str) -> None:
        """Make true what is noted of an app: containers that are not its own are leftovers, and so is one that is being made."""
        app = self._state.app(name)
        keep = app.container if app is not None and app.phase is Phase.READY else None
        if app is not None and not self._synchronized(app):
            return
        all_gone = self._removed(name, but=keep)
        if app is None:
            return
        if keep is not None:
            if all_gone:
                self._state.release_ports(name, but=app.port)
            return
        if app.phase is Phase.PURGING:
            self._instances.purge(name)
        for domain in app.domains if self._certificates is not None else ():
            with self._state.locked(_CERTBOT_LOCK):
                self._forget_certificate(domain)
        self._state.forget(name)

    def _synchronized(self, app: App) -> bool:
        """Let nginx serve what is noted of an app, and return whether its other containers can be removed.

        What has nothing to do with nginx must work without it. Raises NginxError for an app that is deleted: its port may not be
        another's as long as nginx knows it.
        """
        try:
            if app.phase is Phase.READY:
                self._drains.note_workers(app.name, self._publish(app.name).before)
            else:
                self._withdraw(app.name)
        except (NginxError, AppConflict) as error:
            if app.phase in {Phase.DELETING, Phase.PURGING}:
                raise
            _log.warning("nginx does not serve what is noted of app %s: %s", app.name, error)
            # One that was being made is not known to nginx.
            return app.phase is Phase.MAKING
        return True

    def _removed(self, name: str, *, but: str | None) -> bool:
        """Remove the containers of an app `but` one, and return whether none is left that still answers what it has."""
        # Of an app that is deleted nothing has to answer any more.
        answering = self._drains.answering() if but is not None else set()
        left: set[str] = set()
        for container in self._instances.of(name):
            if container.id in answering and container.id != but:
                left.add(container.id or "")
            elif container.id != but:
                self._instances.remove(container)
        self._state.forget_drains(name, but=left)
        return not left

    def _tidy_later(self, name: str) -> None:
        with self._logged(name), self._state.locked(name):
            self._tidy(name)

    def _forget_certificate(self, domain: str) -> None:
        try:
            if self._certificates is not None:
                self._certificates.forget(domain)
        except CertificateError as error:
            # It will not be renewed without the domain, which is as good.
            _log.warning("%s", error)

    def _publish(self, name: str) -> Reload:
        """Let nginx send the requests for an app's domains to its container."""
        with self._state.locked(_NGINX_LOCK):
            return self._publish_locked(name)

    def _publish_locked(self, name: str) -> Reload:
        # Read under the lock: between this and the files nobody changes a domain.
        app = self._state_of(name)
        if app.port is None:
            return Reload()
        files: dict[str, str | None] = {}
        for domain in app.domains:
            found = self._certificates
            site = Site(domain, name, app.port, found.directory(domain) if found is not None else None)
            files[domain] = render_site(site, acme=found.webroot if found is not None else None)
        return self._nginx.apply(files)

    def _withdraw(self, name: str) -> None:
        with self._state.locked(_NGINX_LOCK):
            # Read under the lock: another app may have been given one of the domains since.
            self._nginx.apply(dict.fromkeys(self._state_of(name).domains))

    def _secure(self, name: str, *domains: str) -> None:
        """Get a certificate for each of an app's domains, or for these, that has none, and check that nginx shows it."""
        if self._certificates is None:
            return
        for domain in domains or self._state_of(name).domains:
            with self._state.locked(_CERTBOT_LOCK):
                if self._certificates.directory(domain) is not None:
                    continue
                # The site of another domain than the app's must not lose it, or get its certificate from here.
                self._nginx.require_free(domain)
                try:
                    self._certificates.obtain(domain)
                    self._publish(name)
                    self._certificates.check(domain)
                except CertificateError as error:
                    raise CertificateError(f"The app is served without TLS: {error.message}") from error
