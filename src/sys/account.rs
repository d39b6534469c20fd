//! Who the process is: from root, which may bind any port, to a user that may do little.
//!
//! * All threads change together: the C library's calls see to that, the kernel's do not.
//! * No way leads back: the saved ids change too, the supplementary groups are gone, and it is tried.
//!
//! Absent on purpose: capabilities. A process that needs the ports below 1024 later too is given
//! CAP_NET_BIND_SERVICE by whoever starts it, and no root.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Group, Uid, User, setgroups, setresgid, setresuid};

/// Somebody the process can become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// As it was written.
    name: String,
    uid: Uid,
    gid: Gid,
}

impl Account {
    /// Finds a user and a group by their names or numbers. Without a group it is the user's own.
    pub fn find(user: &str, group: Option<&str>) -> Result<Account, String> {
        let known = match user.parse() {
            Ok(number) => User::from_uid(Uid::from_raw(number)),
            Err(_) => User::from_name(user),
        };
        let known = known.map_err(|error| format!("user {user:?} cannot be looked up: {error}"))?;
        let uid = match (&known, user.parse()) {
            (Some(known), _) => known.uid,
            // A number needs no name: in most containers nobody has one.
            (None, Ok(number)) => Uid::from_raw(number),
            (None, Err(_)) => return Err(format!("there is no user {user:?} on this machine")),
        };
        let gid = match (group, known) {
            (Some(group), _) => find_group(group)?,
            (None, Some(known)) => known.gid,
            (None, None) => {
                return Err(format!(
                    "user {user} has no name here, and so no group: say process.group as well"
                ));
            }
        };
        if uid.is_root() {
            return Err("this user is root: it gives nothing up, so leave process.user out".into());
        }
        // The kernel takes the highest number for "leave it as it is".
        if gid.as_raw() == 0 || uid.as_raw() == u32::MAX || gid.as_raw() == u32::MAX {
            return Err("neither may be root's, nor the highest number that there is".into());
        }
        Ok(Account { name: user.to_owned(), uid, gid })
    }

    /// Whether the process is this one already, and nothing else besides.
    pub fn is_ours(&self) -> bool {
        let (uid, euid) = (Uid::current(), Uid::effective());
        let (gid, egid) = (Gid::current(), Gid::effective());
        (uid, euid, gid, egid) == (self.uid, self.uid, self.gid, self.gid)
    }

    /// Makes the process this one, for good. Only root can; who is it already stays.
    pub fn assume(&self) -> Result<(), String> {
        if self.is_ours() {
            return Ok(());
        }
        let failed = |error: nix::Error| match Uid::effective().is_root() {
            true => format!("the process cannot become {self}: {error}"),
            false => format!(
                "the process cannot become {self}: only root can become somebody else, and this is \
                 uid {}; start it as root, or as that user, or leave process.user out",
                Uid::effective()
            ),
        };
        setgroups(&[]).map_err(failed)?;
        setresgid(self.gid, self.gid, self.gid).map_err(failed)?;
        setresuid(self.uid, self.uid, self.uid).map_err(failed)?;
        let root = Uid::from_raw(0);
        match setresuid(root, root, root) {
            Err(_) => Ok(()),
            Ok(()) => Err(format!("the process became {self}, and could be root again")),
        }
    }

    /// Gives it a file, the socket that others reach us by.
    pub fn give(&self, path: &Path) -> std::io::Result<()> {
        std::os::unix::fs::lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }

    /// Whether the modes of a file and of the folders above it let this one read it. What access lists
    /// say besides is not looked at. `None`: it cannot be seen from here.
    pub fn may_read(&self, path: &Path) -> Option<bool> {
        let real = path.canonicalize().ok()?;
        let file = real.metadata().ok()?;
        let mut above = real.ancestors().skip(1).map(|folder| folder.metadata().ok());
        let opens =
            above.try_fold(true, |opens, folder| Some(opens && self.is_granted(&folder?, 1)));
        Some(opens? && self.is_granted(&file, 4))
    }

    /// `bit`: 4 to read, 1 to go through.
    fn is_granted(&self, of: &Metadata, bit: u32) -> bool {
        let shift = match (of.uid() == self.uid.as_raw(), of.gid() == self.gid.as_raw()) {
            (true, _) => 6,
            (false, true) => 3,
            (false, false) => 0,
        };
        of.mode() >> shift & bit != 0
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "user {} (uid {}, gid {})", self.name, self.uid, self.gid)
    }
}

fn find_group(group: &str) -> Result<Gid, String> {
    if let Ok(number) = group.parse() {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(group) {
        Ok(Some(known)) => Ok(known.gid),
        Ok(None) => Err(format!("there is no group {group:?} on this machine")),
        Err(error) => Err(format!("group {group:?} cannot be looked up: {error}")),
    }
}

/// Whether the process is root.
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_user_is_found_by_name_or_number_and_root_is_none() {
        let nobody = Account::find("nobody", None).expect("every Linux has one");
        assert_ne!(nobody.uid.as_raw(), 0);
        let number = nobody.uid.to_string();
        let by_number = Account::find(&number, None).expect("the same by its number");
        assert_eq!((by_number.uid, by_number.gid), (nobody.uid, nobody.gid));
        let free = Account::find("3999999999", Some("7")).expect("a number needs no name");
        assert_eq!((free.uid.as_raw(), free.gid.as_raw()), (3_999_999_999, 7));
        for (user, group, reason) in [
            ("root", None, "is root"),
            ("0", None, "is root"),
            ("no-such-user", None, "there is no user"),
            ("nobody", Some("no-such-group"), "there is no group"),
            ("3999999999", None, "say process.group"),
        ] {
            let told = Account::find(user, group).expect_err(user);
            assert!(told.contains(reason), "{user}: {told}");
        }
    }

    #[test]
    fn what_may_be_read_follows_owner_group_and_the_folders_above() {
        let folder =
            std::env::temp_dir().join(format!("sluicegate-account-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        let file = folder.join("key.pem");
        std::fs::write(&file, "secret").expect("a temporary file");
        let owner = file.metadata().expect("it is there");
        let of = |uid, gid| Account {
            name: String::new(),
            uid: Uid::from_raw(uid),
            gid: Gid::from_raw(gid),
        };
        let owners = of(owner.uid(), owner.gid() + 1);
        let groups = of(owner.uid() + 1, owner.gid());
        let others = of(owner.uid() + 1, owner.gid() + 1);
        for (file_mode, folder_mode, expected) in [
            (0o600, 0o755, [true, false, false]),
            (0o640, 0o755, [true, true, false]),
            (0o644, 0o755, [true, true, true]),
            (0o044, 0o755, [false, true, true]),
            (0o644, 0o750, [true, true, false]),
            (0o644, 0o700, [true, false, false]),
        ] {
            let set = |path: &Path, mode| {
                std::fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
            };
            set(&folder, folder_mode);
            set(&file, file_mode);
            let may = [&owners, &groups, &others].map(|account| account.may_read(&file));
            assert_eq!(may, expected.map(Some), "{file_mode:o} in {folder_mode:o}");
        }
        assert_eq!(others.may_read(&folder.join("gone")), None);
        std::fs::remove_dir_all(&folder).expect("it is ours");
    }
}
