"""`VarangerClient` and `AsyncVarangerClient`: the gateway's calls. Each is described once, in `calls` and `uploads`."""

from varanger.client.calls import exports as to_file
from varanger.client.calls import jobs as of_jobs
from varanger.client.calls import media as of_media
from varanger.client.calls import projects as of_projects
from varanger.client.calls import quality as of_quality
from varanger.client.calls import uploads as of_files
from varanger.client.methods import AsyncMethod, AsyncPages, Method, Pages
from varanger.client.running import AsyncTransport, SyncTransport
from varanger.client.uploads import forms, tus


class VarangerClient(SyncTransport):
    """A gateway and a key. Every call raises GatewayAway or RequestRefused."""

    # Files
    upload_folder = Method(forms.upload_folder)
    upload = Method(forms.upload)
    upload_large = Method(tus.upload_large)
    check = Method(of_files.check)
    put_file = Method(of_files.put_file)
    tus_state = Method(of_files.tus_state)
    tus_remove = Method(of_files.tus_remove)
    # Media
    media = Pages(of_media.media)
    one_media = Method(of_media.one_media)
    patch_media = Method(of_media.patch_media)
    stats = Method(of_media.stats)
    events = Pages(of_media.events)
    quarantine = Pages(of_media.quarantine)
    release_from_quarantine = Method(of_media.release_from_quarantine)
    # Projects and deployments
    projects = Method(of_projects.projects)
    project = Method(of_projects.project)
    create_project = Method(of_projects.create_project)
    deployments = Method(of_projects.deployments)
    deployment = Method(of_projects.deployment)
    put_deployment = Method(of_projects.put_deployment)
    patch_deployment = Method(of_projects.patch_deployment)
    # Quality check
    request_round = Method(of_quality.request_round)
    rounds = Method(of_quality.rounds)
    round = Method(of_quality.round)
    tasks = Pages(of_quality.tasks)
    review = Method(of_quality.review)
    # Dataset
    final_table = Method(to_file.final_table)
    export_names = Method(to_file.export_names)
    original = Method(to_file.original)
    quarantined_file = Method(to_file.quarantined_file)
    # Operation
    jobs = Method(of_jobs.jobs)
    job = Method(of_jobs.job)
    dead_letters = Method(of_jobs.dead_letters)
    replay = Method(of_jobs.replay)


class AsyncVarangerClient(AsyncTransport):
    """The same for an event loop: coroutines, and asynchronous iterators where there are pages."""

    # Files
    upload_folder = AsyncMethod(forms.upload_folder)
    upload = AsyncMethod(forms.upload)
    upload_large = AsyncMethod(tus.upload_large)
    check = AsyncMethod(of_files.check)
    put_file = AsyncMethod(of_files.put_file)
    tus_state = AsyncMethod(of_files.tus_state)
    tus_remove = AsyncMethod(of_files.tus_remove)
    # Media
    media = AsyncPages(of_media.media)
    one_media = AsyncMethod(of_media.one_media)
    patch_media = AsyncMethod(of_media.patch_media)
    stats = AsyncMethod(of_media.stats)
    events = AsyncPages(of_media.events)
    quarantine = AsyncPages(of_media.quarantine)
    release_from_quarantine = AsyncMethod(of_media.release_from_quarantine)
    # Projects and deployments
    projects = AsyncMethod(of_projects.projects)
    project = AsyncMethod(of_projects.project)
    create_project = AsyncMethod(of_projects.create_project)
    deployments = AsyncMethod(of_projects.deployments)
    deployment = AsyncMethod(of_projects.deployment)
    put_deployment = AsyncMethod(of_projects.put_deployment)
    patch_deployment = AsyncMethod(of_projects.patch_deployment)
    # Quality check
    request_round = AsyncMethod(of_quality.request_round)
    rounds = AsyncMethod(of_quality.rounds)
    round = AsyncMethod(of_quality.round)
    tasks = AsyncPages(of_quality.tasks)
    review = AsyncMethod(of_quality.review)
    # Dataset
    final_table = AsyncMethod(to_file.final_table)
    export_names = AsyncMethod(to_file.export_names)
    original = AsyncMethod(to_file.original)
    quarantined_file = AsyncMethod(to_file.quarantined_file)
    # Operation
    jobs = AsyncMethod(of_jobs.jobs)
    job = AsyncMethod(of_jobs.job)
    dead_letters = AsyncMethod(of_jobs.dead_letters)
    replay = AsyncMethod(of_jobs.replay)
