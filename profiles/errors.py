"""What can go wrong with Anki's own files, as a person should hear it."""

from __future__ import annotations

from recollect.errors import RecollectError


class ProfileError(RecollectError):
    """Anything that goes wrong with a profile."""

    code = "profile"


class BaseFolderMissing(ProfileError):
    """No folder of Anki's was found where it was looked for."""

    code = "base-folder-missing"


class ProfileUnknown(ProfileError):
    """No profile of that name."""

    code = "profile-unknown"


class CollectionMissing(ProfileError):
    """The profile's folder holds no collection."""

    code = "collection-missing"


class CollectionDamaged(ProfileError):
    """The collection is not a sound SQLite database, or not a sound Anki collection."""

    code = "collection-damaged"


class SourceBusy(ProfileError):
    """Anki was writing without pause, so no consistent copy could be taken this time. Not a failure: skipped."""

    code = "source-busy"


class SourceUnreadable(ProfileError):
    """A file or folder of the profile could not be read."""

    code = "source-unreadable"


class PreferencesUnusable(ProfileError):
    """Anki's list of profiles, or what it keeps of one, is missing or not as Anki writes it, so it can't be changed."""

    code = "preferences-unusable"


class ProfileNameUnusable(ProfileError):
    """No profile can be given that name."""

    code = "profile-name-unusable"


class AnkiIsOpen(ProfileError):
    """Anki has the collection open, so nothing may be put in its place."""

    code = "anki-is-open"


class TargetUnusable(ProfileError):
    """The place to restore to can't take what is to be restored."""

    code = "target-unusable"


class MediaLeftOut(TargetUnusable):
    """One media file can't be put at its name, which says nothing about all others."""


class MediaNameTaken(MediaLeftOut):
    """A media file that was to be added finds another at its name."""


class MediaSyncUnclear(ProfileError):
    """It can't be told what the next media sync would take for deleted."""

    code = "media-sync-unclear"


class PackageUnusable(ProfileError):
    """A package of Anki's can't be read, being damaged, hostile or of another kind, or can't be made."""

    code = "package-unusable"


class PackagedMediaUnusable(PackageUnusable):
    """One media file in a package can't be read, which says nothing about all others."""


class SearchInvalid(ProfileError):
    """Anki can't make sense of a search."""

    code = "search-invalid"


class NotesMissing(ProfileError):
    """None of the notes that were asked for can be had from the copy."""

    code = "notes-missing"


class AnkiRefused(ProfileError):
    """Anki's own library can't do what it was asked for with these data."""

    code = "anki-refused"
