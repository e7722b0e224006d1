//! The meaning of S3's errors for the operator: what is wrong, and what to do. Pure.

use reqwest::StatusCode;

use super::settings::Place;

/// A clock skew above this, in seconds, is reported: links are dated by this clock, and S3 rejects a link
/// from the future.
pub(super) const MAX_SKEW_SECONDS: i64 = 30;

/// Why a request to S3 failed. Says what to do, and never quotes the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum S3Error {
    /// S3 cannot be reached or is overloaded, which will pass.
    #[error("{0}")]
    Passing(String),
    /// S3 will fail in the same way until somebody acts.
    #[error("{0}")]
    Refused(String),
    /// There is no such object.
    #[error("it is not there")]
    NoSuchObject,
}

/// An error answer.
pub(super) struct Refusal<'a> {
    pub(super) status: StatusCode,
    /// Usually XML; empty in an answer to HEAD.
    pub(super) body: &'a str,
    /// The bucket's region, from its header.
    pub(super) region: Option<&'a str>,
    /// The seconds by which this machine's clock is ahead of S3's.
    pub(super) skew_seconds: Option<i64>,
}

impl Refusal<'_> {
    /// The meaning of the refusal.
    pub(super) fn explain(&self, place: &Place, endpoint: &str) -> S3Error {
        let code = element(self.body, "Code").unwrap_or_default();
        let bucket = &place.bucket;
        if self.status.is_server_error()
            || self.status == StatusCode::TOO_MANY_REQUESTS
            || matches!(code, "SlowDown" | "RequestTimeout" | "InternalError" | "ServiceUnavailable")
        {
            return S3Error::Passing(format!(
                "{endpoint} answers {} {code}, which should pass",
                self.status.as_u16()
            ));
        }
        if matches!(self.status, StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST)
            && let Some(skew) = self.skew_seconds.filter(|skew| skew.abs() > MAX_SKEW_SECONDS)
        {
            return S3Error::Refused(skewed(skew));
        }
        let says = match code {
            "NoSuchKey" => return S3Error::NoSuchObject,
            "NoSuchBucket" => format!(
                "there is no bucket `{bucket}` at {endpoint}: create it, or correct its name in --library, or \
                 AWS_ENDPOINT_URL"
            ),
            "InvalidBucketName" => format!("{endpoint} takes `{bucket}` for no name of a bucket: correct it in \
             --library"),
            // versitygw answers with the second when it has only one user.
            "InvalidAccessKeyId" | "XAdminUserNotFound" => {
                format!("{endpoint} does not know the access key: correct AWS_ACCESS_KEY_ID, or make a new key")
            }
            "SignatureDoesNotMatch" => format!(
                "{endpoint} does not believe the signature: AWS_SECRET_ACCESS_KEY is not that of AWS_ACCESS_KEY_ID (or \
                 a proxy \
                 before it changes the header Host)"
            ),
            "ExpiredToken" | "TokenRefreshRequired" => {
                "the temporary credentials have expired: set new ones, and AWS_SESSION_TOKEN with them, and start again"
                    .to_owned()
            }
            "InvalidToken" => format!("{endpoint} does not take AWS_SESSION_TOKEN: unset it, unless the credentials \
             are temporary"),
            "RequestTimeTooSkewed" | "RequestExpired" => {
                "S3 says that this machine's clock is wrong: set it (NTP), since links begin to live by it".to_owned()
            }
            _ => return self.explain_the_rest(code, place, endpoint),
        };
        S3Error::Refused(says)
    }

    fn explain_the_rest(&self, code: &str, place: &Place, endpoint: &str) -> S3Error {
        let bucket = &place.bucket;
        let message = element(self.body, "Message").unwrap_or_default();
        let wrong_region = self.status.is_redirection() && (self.region.is_some() || !code.is_empty())
            || self.region.is_some() && self.status == StatusCode::BAD_REQUEST
            || matches!(code, "AuthorizationHeaderMalformed" | "IllegalLocationConstraintException")
            || message.contains("region") && message.contains("wrong")
            || code == "AuthorizationQueryParametersError" && message.contains("region");
        let says = if wrong_region {
            match self
                .region
                .or_else(|| element(self.body, "Region"))
                .map(str::to_owned)
                .or_else(|| expected(message))
            {
                Some(region) => {
                    format!("the bucket `{bucket}` is in the region {region}: set AWS_REGION to it")
                }
                None => format!(
                    "the bucket `{bucket}` is in another region than AWS_REGION says, so correct that; {endpoint} \
                     says: {}",
                    shown(message)
                ),
            }
        } else if self.status == StatusCode::FORBIDDEN {
            format!(
                "{endpoint} refuses access: allow these credentials s3:ListBucket on arn:aws:s3:::{bucket} and \
                 s3:GetObject on \
                 arn:aws:s3:::{bucket}/{}*",
                place.prefix
            )
        } else if self.status == StatusCode::NOT_FOUND && self.body.is_empty() {
            return S3Error::NoSuchObject;
        } else if code.is_empty() {
            format!(
                "{endpoint} answers {} and not as S3 does: correct AWS_ENDPOINT_URL",
                self.status.as_u16()
            )
        } else {
            format!("{endpoint} answers {} {code}: {}", self.status.as_u16(), shown(message))
        };
        S3Error::Refused(says)
    }
}

/// Advice about a clock that differs from S3's.
pub(super) fn skewed(skew_seconds: i64) -> String {
    let direction = if skew_seconds > 0 { "ahead of" } else { "behind" };
    format!(
        "this machine's clock is {} s {direction} that of S3: set it (NTP), since links begin to live by it",
        skew_seconds.abs()
    )
}

/// The text of the first element of this name. Enough for errors, which are flat; a misread value is only displayed.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    Some(text.trim()).filter(|text| !text.is_empty())
}

/// A server's own message: shortened, and without terminal control characters.
fn shown(message: &str) -> String {
    const ENTITIES: [(&str, &str); 7] = [
        ("&#34;", "\""),
        ("&quot;", "\""),
        ("&#39;", "'"),
        ("&apos;", "'"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&amp;", "&"),
    ];
    let plain = ENTITIES.iter().fold(message.to_owned(), |text, (entity, plain)| text.replace(entity, plain));
    plain.chars().filter(|c| !c.is_control()).take(200).collect()
}

/// The region in a message such as `the region 'a' is wrong; expecting 'b'`.
fn expected(message: &str) -> Option<String> {
    let message = shown(message);
    let (_, region) = message.split_once("expecting ")?;
    let region: String = region
        .trim_start_matches(['\'', '"'])
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || *c == '-')
        .collect();
    Some(region).filter(|region| !region.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn explained(status: u16, body: &str, region: Option<&str>, skew_seconds: i64) -> S3Error {
        let place = "music/albums".parse().unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        Refusal { status, body, region, skew_seconds: Some(skew_seconds) }
            .explain(&place, "https://s3.example")
    }

    fn with_code(status: u16, code: &str) -> S3Error {
        explained(
            status,
            &format!("<?xml version=\"1.0\"?>\n<Error><Code>{code}</Code><Message>No.</Message></Error>"),
            None,
            0,
        )
    }

    #[test]
    fn each_refusal_says_what_to_do() {
        for (status, code, said) in [
            (404, "NoSuchBucket", "create it"),
            (400, "InvalidBucketName", "--library"),
            (403, "InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
            (403, "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
            (
                403,
                "AccessDenied",
                "s3:ListBucket on arn:aws:s3:::music and s3:GetObject on arn:aws:s3:::music/albums/*",
            ),
            (400, "ExpiredToken", "AWS_SESSION_TOKEN"),
            (403, "RequestTimeTooSkewed", "clock"),
            (400, "AuthorizationHeaderMalformed", "AWS_REGION"),
            (405, "MethodNotAllowed", "405 MethodNotAllowed: No."),
        ] {
            match with_code(status, code) {
                S3Error::Refused(says) => assert!(says.contains(said), "{code}: {says}"),
                other => panic!("{code}: {other:?}"),
            }
        }
    }

    #[test]
    fn the_right_region_is_named() {
        let body = "<Error><Code>AuthorizationQueryParametersError</Code><Message>Error parsing the X-Amz-Credential \
            parameter; the \
                    region 'us-east-1' is wrong; expecting 'eu-west-1'</Message><Region>eu-west-1</Region></Error>";
        // A server that only wants https, and knows nothing of regions.
        assert!(explained(301, "", None, 0).to_string().contains("correct AWS_ENDPOINT_URL"));
        let in_words = body.replace("<Region>eu-west-1</Region>", "").replace('\'', "&#34;");
        for error in [
            explained(400, body, None, 0),
            explained(400, &in_words, None, 0),
            explained(301, "", Some("eu-west-1"), 0),
            explained(400, "", Some("eu-west-1"), 0),
        ] {
            assert!(error.to_string().contains("is in the region eu-west-1: set AWS_REGION"), "{error}");
        }
    }

    #[test]
    fn a_clock_that_is_wrong_explains_a_refusal() {
        for (skew, said) in [(3600, "3600 s ahead of"), (-7200, "7200 s behind")] {
            let error = explained(403, "<Error><Code>AccessDenied</Code></Error>", None, skew);
            assert!(error.to_string().contains(said), "{error}");
        }
        // It explains nothing else.
        assert!(
            explained(404, "<Error><Code>NoSuchBucket</Code></Error>", None, 3600)
                .to_string()
                .contains("no bucket")
        );
    }

    #[test]
    fn what_passes_is_told_from_what_stays() {
        for error in [
            with_code(503, "SlowDown"),
            with_code(500, "InternalError"),
            explained(502, "<html>", None, 0),
            explained(429, "", None, 0),
        ] {
            assert!(matches!(error, S3Error::Passing(_)), "{error:?}");
        }
        assert_eq!(with_code(404, "NoSuchKey"), S3Error::NoSuchObject);
        assert_eq!(explained(404, "", None, 0), S3Error::NoSuchObject);
        assert!(explained(200, "<html>", None, 0).to_string().contains("not as S3 does"));
        assert!(explained(404, "<html>", None, 0).to_string().contains("not as S3 does"));
    }
}
