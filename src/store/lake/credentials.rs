//! Whether the environment says how to sign requests to an object store. Without that the client would ask an instance's metadata
//! service, which answers nothing on other machines, after a long while: it is asked only where the environment says so.

use object_store::ObjectStoreScheme;
use std::collections::BTreeMap;
use std::path::Path;
use url::Url;

/// How a vendor's requests are signed.
struct Vendor {
    /// One of these is enough.
    enough: &'static [&'static str],
    /// Any of these asks for the credentials of the machine's own role; with a value, only that value does.
    of_machine: &'static [(&'static str, Option<&'static str>)],
    /// The place below the home folder where the vendor's tool keeps credentials that are read.
    file: Option<&'static str>,
    advice: &'static str,
}

const AWS: Vendor = Vendor {
    enough: &[
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        "AWS_SKIP_SIGNATURE",
    ],
    of_machine: &[
        ("AWS_EC2_METADATA_DISABLED", Some("false")),
        ("AWS_METADATA_ENDPOINT", None),
        ("AWS_IMDSV1_FALLBACK", None),
    ],
    file: None,
    advice: "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (`aws configure export-credentials` prints them), AWS_SKIP_SIGNATURE=true \
             for a public bucket, or AWS_EC2_METADATA_DISABLED=false to use the role of this machine",
};

const GOOGLE: Vendor = Vendor {
    enough: &[
        "GOOGLE_APPLICATION_CREDENTIALS",
        "GOOGLE_SERVICE_ACCOUNT",
        "GOOGLE_SERVICE_ACCOUNT_PATH",
        "GOOGLE_SERVICE_ACCOUNT_KEY",
        "GOOGLE_SKIP_SIGNATURE",
    ],
    of_machine: &[("GCE_METADATA_HOST", None), ("GCE_METADATA_ROOT", None), ("GCE_METADATA_IP", None)],
    file: Some(".config/gcloud/application_default_credentials.json"),
    advice: "set GOOGLE_APPLICATION_CREDENTIALS to the file of a service account (or run `gcloud auth application-default login`), \
             GOOGLE_SKIP_SIGNATURE=true for a public bucket, or GCE_METADATA_HOST=metadata.google.internal to use the role of this \
             machine",
};

const AZURE: Vendor = Vendor {
    enough: &[
        "AZURE_STORAGE_ACCOUNT_KEY",
        "AZURE_STORAGE_ACCESS_KEY",
        "AZURE_STORAGE_MASTER_KEY",
        "AZURE_STORAGE_SAS_KEY",
        "AZURE_STORAGE_SAS_TOKEN",
        "AZURE_STORAGE_CLIENT_SECRET",
        "AZURE_CLIENT_SECRET",
        "AZURE_STORAGE_TOKEN",
        "AZURE_FEDERATED_TOKEN_FILE",
        "AZURE_FABRIC_SESSION_TOKEN",
        "AZURE_USE_AZURE_CLI",
        "AZURE_SKIP_SIGNATURE",
        "AZURE_STORAGE_USE_EMULATOR",
    ],
    of_machine: &[("AZURE_MSI_ENDPOINT", None), ("AZURE_IDENTITY_ENDPOINT", None)],
    file: None,
    advice: "set AZURE_STORAGE_ACCOUNT_NAME with AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN, AZURE_USE_AZURE_CLI=true after \
             `az login`, AZURE_SKIP_SIGNATURE=true for a public container, or AZURE_MSI_ENDPOINT to use the identity of this machine",
};

/// What is missing to reach a place, and what to do; nothing where requests can be signed.
pub fn missing(url: &Url, variables: &BTreeMap<String, String>) -> Option<String> {
    let vendor = match ObjectStoreScheme::parse(url).ok()?.0 {
        ObjectStoreScheme::AmazonS3 => AWS,
        ObjectStoreScheme::GoogleCloudStorage => GOOGLE,
        ObjectStoreScheme::MicrosoftAzure => AZURE,
        _ => return None,
    };
    // What is switched off is as good as not set.
    let is_off = |value: &str| ["", "0", "false", "no", "off"].iter().any(|off| value.eq_ignore_ascii_case(off));
    let is_set = |name: &str| variables.get(name).filter(|value| !is_off(value));
    let is_asked = |(name, wanted): &(&str, Option<&str>)| {
        let value = variables.get(*name);
        value.is_some_and(|value| wanted.map_or(!is_off(value), |wanted| value.eq_ignore_ascii_case(wanted)))
    };
    let is_kept = |file: &str| is_set("HOME").is_some_and(|home| Path::new(home).join(file).exists());
    let is_known = vendor.enough.iter().any(|name| is_set(name).is_some())
        || vendor.of_machine.iter().any(is_asked)
        || vendor.file.is_some_and(is_kept);
    (!is_known).then(|| format!("no credentials found; {}", vendor.advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(url: &str, variables: &[(&str, &str)]) -> Option<String> {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        missing(&Url::parse(url).unwrap(), &variables.collect())
    }

    #[test]
    fn what_is_not_signed_says_which_variables_to_set() {
        for (url, variable) in [
            ("s3://bucket/lake", "AWS_ACCESS_KEY_ID"),
            ("s3a://bucket/lake", "AWS_ACCESS_KEY_ID"),
            ("gs://bucket/lake", "GOOGLE_APPLICATION_CREDENTIALS"),
            ("az://container/lake", "AZURE_STORAGE_ACCOUNT_KEY"),
            ("abfss://container@account.dfs.core.windows.net/lake", "AZURE_STORAGE_ACCOUNT_KEY"),
        ] {
            assert!(told(url, &[]).unwrap().contains(variable), "{url}");
            assert!(told(url, &[(variable, "")]).is_some(), "{url}: empty");
            assert_eq!(told(url, &[(variable, "x")]), None, "{url}");
        }
        assert!(told("s3://b/l", &[("AWS_SKIP_SIGNATURE", "false")]).is_some());
        assert_eq!(told("s3://b/l", &[("AWS_SKIP_SIGNATURE", "true")]), None);
    }

    #[test]
    fn the_metadata_service_is_asked_only_where_that_is_said() {
        assert_eq!(told("s3://b/l", &[("AWS_EC2_METADATA_DISABLED", "false")]), None);
        assert!(told("s3://b/l", &[("AWS_EC2_METADATA_DISABLED", "true")]).is_some());
        assert_eq!(told("gs://b/l", &[("GCE_METADATA_HOST", "metadata.google.internal")]), None);
        // Credentials of one vendor say nothing of another.
        assert!(told("gs://b/l", &[("AWS_ACCESS_KEY_ID", "x")]).is_some());
    }

    #[test]
    fn what_gcloud_keeps_is_found() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join(".config/gcloud");
        std::fs::create_dir_all(&folder).unwrap();
        let variables = [("HOME", home.path().to_str().unwrap())];
        assert!(told("gs://b/l", &variables).is_some());
        std::fs::write(folder.join("application_default_credentials.json"), "{}").unwrap();
        assert_eq!(told("gs://b/l", &variables), None);
    }
}
