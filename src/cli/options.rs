//! Options that several subcommands share.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use clap::builder::FalseyValueParser;
use zeroize::Zeroizing;

use super::outcome::{Outcome, WrongUsage};
use crate::environment::SystemClock;
use crate::library::{Library, LibraryAddress, LibraryLocation, s3};
use crate::redemption::store::elasticsearch::{INDEX, IndexName, Login, PasswordSource};
use crate::redemption::store::location::{IfMissing, StoreLocation};
use crate::redemption::store::{SharedStore, StoreObserver};
use crate::redemption::ticket::Name;

/// The section of `--help` about locations.
pub(super) const PLACES: &str = "Where things are";
/// The section of `--help` about Elasticsearch, which only `--help` shows.
const ELASTICSEARCH: &str = "Elasticsearch (only for a store with URLs)";

/// The option for the store.
#[derive(Clone, Debug, Args)]
pub(super) struct StoreOption {
    /// Where tickets are kept: `sqlite:PATH`, or URLs of Elasticsearch separated by commas
    #[arg(long, env = "TICKEY_STORE", value_name = "STORE", help_heading = PLACES,
        default_value = "sqlite:tickey-data/tickets.db")]
    store: StoreLocation,
    /// The user name for Elasticsearch
    #[arg(long, help_heading = ELASTICSEARCH, hide_short_help = true, env = "TICKEY_ELASTICSEARCH_USERNAME",
        value_name = "NAME")]
    elasticsearch_username: Option<String>,
    /// A file with the password, read again when it is refused (or set `TICKEY_ELASTICSEARCH_PASSWORD`)
    #[arg(long, help_heading = ELASTICSEARCH, hide_short_help = true, env = "TICKEY_ELASTICSEARCH_PASSWORD_FILE",
        value_name = "FILE")]
    elasticsearch_password_file: Option<PathBuf>,
    /// A CA that is trusted in addition to the public ones (PEM), read again when a certificate is refused
    #[arg(long, help_heading = ELASTICSEARCH, hide_short_help = true, env = "TICKEY_ELASTICSEARCH_CA_FILE",
        value_name = "FILE")]
    elasticsearch_ca_file: Option<PathBuf>,
    /// The index, made when it is missing
    #[arg(long, help_heading = ELASTICSEARCH, hide_short_help = true, env = "TICKEY_ELASTICSEARCH_INDEX",
        value_name = "NAME", default_value_t = INDEX)]
    elasticsearch_index: IndexName,
    /// Primary shards of an index that is made
    #[arg(long, help_heading = ELASTICSEARCH, hide_short_help = true, env = "TICKEY_ELASTICSEARCH_SHARDS",
        value_name = "N", default_value = "1")]
    elasticsearch_shards: NonZeroU16,
}

/// The variable with the password itself. There is no flag for it, since all users of a machine can see flags.
const PASSWORD_VARIABLE: &str = "TICKEY_ELASTICSEARCH_PASSWORD";

impl StoreOption {
    /// Opens the store for a tool, without metrics.
    pub(super) async fn open(&self, if_missing: IfMissing) -> Outcome<SharedStore> {
        Ok(self.location()?.open(if_missing, Arc::new(())).await?)
    }

    /// Opens the store for a tool that adds tickets: creates it when it is missing, and says so.
    pub(super) async fn open_or_make(&self) -> Outcome<SharedStore> {
        let location = self.location()?;
        let new = match &location {
            StoreLocation::Sqlite(path) if !path.exists() => Some(path.clone()),
            StoreLocation::Sqlite(_) | StoreLocation::Elasticsearch(_) => None,
        };
        let store = location.open(IfMissing::Create, Arc::new(())).await?;
        if let Some(path) = new {
            super::output::complain(&format!("a new store was made: sqlite:{}", path.display()));
        }
        Ok(store)
    }

    /// Opens the store for the server.
    pub(super) async fn open_for_serving(&self, observer: Arc<dyn StoreObserver>) -> Outcome<SharedStore> {
        Ok(self.location()?.open_for_serving(observer).await?)
    }

    /// The store's location, with all settings needed to use it.
    pub(super) fn location(&self) -> Outcome<StoreLocation> {
        self.store.check_no_password().map_err(|error| WrongUsage(error.to_string()))?;
        let mut location = self.store.clone();
        if let StoreLocation::Elasticsearch(settings) = &mut location {
            settings.login = self.login()?;
            settings.ca_file.clone_from(&self.elasticsearch_ca_file);
            settings.index = self.elasticsearch_index.clone();
            settings.shards = self.elasticsearch_shards;
        }
        Ok(location)
    }

    fn login(&self) -> Outcome<Option<Login>> {
        let given = std::env::var(PASSWORD_VARIABLE).ok().filter(|password| !password.is_empty());
        let password = match (&self.elasticsearch_password_file, given) {
            (Some(_), Some(_)) => {
                let both = format!("give either a password file or {PASSWORD_VARIABLE}, not both");
                return Err(WrongUsage(both).into());
            }
            (Some(path), None) => Some(PasswordSource::File(path.clone())),
            (None, Some(password)) => Some(PasswordSource::Given(Zeroizing::new(password))),
            (None, None) => None,
        };
        match (&self.elasticsearch_username, password) {
            (None, None) => Ok(None),
            (Some(username), Some(password)) => Ok(Some(Login { username: username.clone(), password })),
            (Some(_), None) => Err(WrongUsage(format!(
                "a user name of Elasticsearch needs a password: --elasticsearch-password-file or {PASSWORD_VARIABLE}"
            ))
            .into()),
            (None, Some(_)) => {
                Err(WrongUsage("a password of Elasticsearch needs --elasticsearch-username".to_owned()).into())
            }
        }
    }
}

/// The option for the library.
#[derive(Clone, Debug, Args)]
pub(super) struct LibraryOption {
    /// Where albums are: `demo:` (built in), `file:DIR`, or `s3://BUCKET/PREFIX` (which reads `AWS_ACCESS_KEY_ID`,
    /// `AWS_SECRET_ACCESS_KEY`, `AWS_REGION` and, for other servers than Amazon's, `AWS_ENDPOINT_URL`)
    #[arg(long, help_heading = PLACES, env = "TICKEY_LIBRARY", value_name = "LIBRARY", default_value = "demo:")]
    library: LibraryAddress,
}

/// The option for the library, for a command that checks it if one is given.
#[derive(Clone, Debug, Args)]
pub(super) struct KnownLibraryOption {
    /// The library of the server, in which the albums of keys are checked
    #[arg(long, help_heading = PLACES, env = "TICKEY_LIBRARY", value_name = "LIBRARY")]
    library: Option<LibraryAddress>,
}

impl KnownLibraryOption {
    /// The library, if one is known.
    pub(super) fn option(&self) -> Option<LibraryOption> {
        self.library.clone().map(|library| LibraryOption { library })
    }
}

impl LibraryOption {
    /// The name of the library, in words.
    pub(super) fn in_words(&self) -> String {
        match &self.library {
            LibraryAddress::Demo => "the built-in demonstration library (--library gives another)".to_owned(),
            LibraryAddress::Folder(path) => format!("the folder {}", path.display()),
            LibraryAddress::S3(place) => place.to_string(),
        }
    }

    pub(super) async fn open(&self) -> Outcome<Library> {
        Ok(Library::open(&self.location()?).await?)
    }

    /// The library's location, with all settings needed to use it.
    fn location(&self) -> Outcome<LibraryLocation> {
        Ok(match &self.library {
            LibraryAddress::Demo => LibraryLocation::Demo,
            LibraryAddress::Folder(path) => LibraryLocation::Folder(path.clone()),
            LibraryAddress::S3(place) => {
                let access = s3::Access::from_variables(|name| std::env::var(name).ok())
                    .map_err(|error| WrongUsage(error.to_string()))?;
                LibraryLocation::S3(Box::new(s3::Settings {
                    place: place.clone(),
                    access,
                    periods: s3::Periods::default(),
                    clock: Arc::new(SystemClock),
                }))
            }
        })
    }
}

/// The option for the link keys.
#[derive(Clone, Debug, Args)]
pub(super) struct LinkKeysOption {
    /// The keys that sign links and receipts; the server creates the file when it is missing
    #[arg(long, help_heading = PLACES, env = "TICKEY_LINK_KEYS_FILE", value_name = "FILE",
        default_value = "tickey-data/link-keys")]
    pub(super) link_keys_file: PathBuf,
}

/// The option for the admin token.
#[derive(Clone, Debug, Args)]
pub(super) struct AdminTokenOption {
    /// A file whose first line is the token of the admin interface, read again when it changes; without it there is
    /// no admin interface
    #[arg(long, help_heading = PLACES, env = "TICKEY_ADMIN_TOKEN_FILE", value_name = "FILE")]
    pub(super) admin_token_file: Option<PathBuf>,
}

/// The option that selects tickets.
#[derive(Clone, Debug, Args)]
pub(super) struct BatchOption {
    /// Only this batch
    #[arg(long, env = "TICKEY_BATCH")]
    pub(super) batch: Option<Name>,
}

/// The option for the form of the output.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct JsonOption {
    /// Print JSON instead of text
    #[arg(long, env = "TICKEY_JSON", value_parser = FalseyValueParser::new())]
    pub(super) json: bool,
}
