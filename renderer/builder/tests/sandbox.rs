//! Builders in the sandbox, as the calling user; and if that is root, all of it once more as another user.
//!
//! Needs busybox-static (`/bin/busybox`) and user namespaces. Without one of them nothing is tested, which is said.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests without the usual harness"
)]

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use niphas_erofs::{Extent, ImageBuilder};
use niphas_store::mount::View;
use nix_builder::sandbox::{
    Cancel, End, Folder, Image, Limits, Network, SandboxError, Scratch, probe, sweep,
};
use nix_formats::StorePath;

mod support;

use support::{Build, OUT, is_root};

type Test = (&'static str, fn());

const TESTS: &[Test] = &[
    (
        "a_builder_begins_with_its_arguments_and_environment",
        a_builder_begins_with_its_arguments_and_environment,
    ),
    (
        "a_builder_sees_its_own_files_and_no_others",
        a_builder_sees_its_own_files_and_no_others,
    ),
    (
        "outputs_and_the_build_folder_stay",
        outputs_and_the_build_folder_stay,
    ),
    ("inputs_are_shown_read_only", inputs_are_shown_read_only),
    ("inputs_of_an_image_are_shown", inputs_of_an_image_are_shown),
    (
        "a_probe_tells_what_can_be_done",
        a_probe_tells_what_can_be_done,
    ),
    (
        "processes_are_limited_in_the_builder_alone",
        processes_are_limited_in_the_builder_alone,
    ),
    (
        "a_builder_with_network_is_kept_to_the_policy",
        a_builder_with_network_is_kept_to_the_policy,
    ),
    (
        "scratch_folders_are_removed_kept_and_swept",
        scratch_folders_are_removed_kept_and_swept,
    ),
    (
        "limits_and_cancelling_end_all_processes",
        limits_and_cancelling_end_all_processes,
    ),
    (
        "signals_and_missing_programs_are_told",
        signals_and_missing_programs_are_told,
    ),
    (
        "what_is_killed_leaves_no_process",
        what_is_killed_leaves_no_process,
    ),
];

/// Asks this program to run one builder, as another program would.
const RUN_AND_WAIT: &str = "run-and-wait";
/// A user that owns nothing.
const OTHER_USER: u32 = 65534;

fn main() -> ExitCode {
    nix_builder::sandbox::child_main();
    if !Path::new("/bin/busybox").exists() {
        println!("skipped: /bin/busybox is not there: install busybox-static");
        return ExitCode::SUCCESS;
    }
    let mut args = std::env::args().skip(1);
    if args.next().is_some_and(|first| first == RUN_AND_WAIT) {
        Build::new(&args.next().expect("a script")).run();
        return ExitCode::SUCCESS;
    }
    let filters: Vec<_> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with('-'))
        .collect();
    let user = if is_root() { "root" } else { "user" };
    for (name, test) in TESTS {
        if filters.is_empty() || filters.iter().any(|filter| name.contains(filter)) {
            test();
            println!("test {user}: {name} ... ok");
        }
    }
    if !is_root() {
        return ExitCode::SUCCESS;
    }
    // Where the other user may come: folders of builds may be root's alone.
    let folder = tempfile::tempdir().expect("a folder");
    let (program, everyone) = (folder.path().join("sandbox"), Permissions::from_mode(0o755));
    let own = std::env::current_exe().expect("this program");
    fs::copy(own, &program).expect("it can be copied");
    fs::set_permissions(folder.path(), everyone).expect("a folder for everyone");
    let status = Command::new(program)
        .args(filters)
        .uid(OTHER_USER)
        .gid(OTHER_USER)
        .status()
        .expect("it can be executed");
    ExitCode::from(u8::from(!status.success()))
}

fn a_builder_begins_with_its_arguments_and_environment() {
    let script = "printf '<%s>' \"$0\" \"$@\"; echo; /bin/sh -c 'env | sort; pwd; id -u; id -g; umask; echo $PPID; ulimit -c'";
    let run = Build::new(script).args(["zero", "one two", ""]).run();
    let expected = "<zero><one two><>\nPATH=/bin\nPWD=/build\nSHLVL=2\n\
        out=/nix/store/0000000000000000000000000000000a-out\n/build\n1000\n100\n0022\n0\n0\n";
    assert_eq!(run.log, expected);
    assert_eq!(run.end(), End::Exited(0));
}

fn a_builder_sees_its_own_files_and_no_others() {
    let script = "cd /; for folder in . bin dev etc nix nix/store tmp build; do busybox ls -1 $folder; done; \
        stat -c '%a %n' . nix/store tmp etc build etc/passwd dev/shm; readlink /proc/1/exe; hostname; \
        tail -n +3 /proc/net/dev | cut -d : -f 1; cat /etc/group; cat /build/file; ls /proc | grep '^[0-9]' | head -n 1";
    let build = Build::new(&script.replace("busybox ", "")).change(|request| {
        request
            .process
            .files
            .insert(b"file".to_vec(), b"a file of the builder\n".to_vec());
    });
    let expected = "bin\nbuild\ndev\netc\nnix\nproc\ntmp\nsh\n\
        fd\nfull\nnull\nptmx\npts\nrandom\nshm\nstderr\nstdin\nstdout\ntty\nurandom\nzero\n\
        group\nhosts\npasswd\nstore\nfile\n\
        750 .\n1775 nix/store\n1777 tmp\n555 etc\n700 build\n644 etc/passwd\n1777 dev/shm\n/bin/sh\nlocalhost\n    lo\n\
        root:x:0:\nnixbld:!:100:\nnogroup:x:65534:\na file of the builder\n1\n";
    assert_eq!(build.run().log, expected);
}

fn outputs_and_the_build_folder_stay() {
    let run =
        Build::new("echo hello > $out; echo left > /build/file; echo to both >&2; exit 7").run();
    let outcome = run.outcome();
    assert_eq!(
        (run.log.as_str(), outcome.end),
        ("to both\n", End::Exited(7))
    );
    let output = outcome.outputs.join(OUT);
    assert_eq!(fs::read_to_string(&output).unwrap(), "hello\n");
    assert_eq!(fs::metadata(&output).unwrap().uid(), outcome.owner);
    assert_eq!(
        fs::read_to_string(outcome.build_dir.join("file")).unwrap(),
        "left\n"
    );
}

fn inputs_are_shown_read_only() {
    let store = tempfile::tempdir().unwrap();
    let names = [
        "1111111111111111111111111111111a-folder",
        "1111111111111111111111111111111b-file",
        "1111111111111111111111111111111c-link",
    ];
    let [folder, file, link] = names.map(|name| store.path().join(name));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("inner"), "inner\n").unwrap();
    fs::write(&file, "file\n").unwrap();
    symlink("1111111111111111111111111111111b-file", &link).unwrap();
    fs::write(
        store.path().join("1111111111111111111111111111111d-other"),
        "",
    )
    .unwrap();
    let paths: Vec<StorePath> = names
        .iter()
        .map(|name| StorePath::from_base_name(name).unwrap())
        .collect();
    let script = "cd /nix/store; ls -1; cat *-folder/inner *-file *-link; readlink *-link; \
        for try in 'echo > 1111111111111111111111111111111a-folder/inner' 'rm *-folder/inner' 'chmod 700 *-folder' 'touch *-file'; \
        do sh -c \"$try\" 2> /dev/null && echo \"$try was allowed\"; done; true";
    let build = Build::new(&script.replace("sh -c", "/bin/sh -c"));
    let run = build
        .change(|request| {
            request.inputs.folders = vec![Folder {
                folder: store.path().to_owned(),
                paths,
            }];
        })
        .run();
    let expected = format!("{}\ninner\nfile\nfile\n{}\n", names.join("\n"), names[1]);
    assert_eq!(
        (run.log.as_str(), run.end()),
        (expected.as_str(), End::Exited(0))
    );
    assert_eq!(fs::read_to_string(folder.join("inner")).unwrap(), "inner\n");
}

/// Root mounts an image; another user may not, which is an error.
fn inputs_of_an_image_are_shown() {
    let name = "1111111111111111111111111111111a-file";
    // Not in memory: EROFS does not read files of tmpfs.
    let parent = if is_root() {
        env!("CARGO_TARGET_TMPDIR")
    } else {
        "/tmp"
    };
    let folder = tempfile::tempdir_in(parent).unwrap();
    let pack = folder.path().join("pack");
    let contents = "from a pack\n";
    fs::write(&pack, format!("{contents:\0<4096}")).unwrap();
    let mut image = ImageBuilder::new();
    image.enter(b"store").unwrap();
    let device = image.device(b"1", 4096).unwrap();
    let extent = Extent::data(contents.len() as u64, device, 0);
    image.file(name.as_bytes(), false, &[extent]).unwrap();
    image.leave().unwrap();
    let file = folder.path().join("image.erofs");
    let mut to = File::create_new(&file).unwrap();
    image.finish().unwrap().write_to(&mut to).unwrap();
    drop(to);

    let image = Image {
        file,
        devices: vec![pack],
        view: View::FileBacked { direct_io: false },
        paths: vec![StorePath::from_base_name(name).unwrap()],
    };
    let build = Build::new(&format!(
        "cat /nix/store/{name}; stat -c '%u %g %a' /nix/store/{name}"
    ));
    let run = build
        .change(|request| request.inputs.image = Some(image))
        .run();
    if is_root() {
        assert_eq!(
            (run.log.as_str(), run.end()),
            ("from a pack\n65534 65534 444\n", End::Exited(0))
        );
    } else {
        assert!(
            matches!(run.result, Err(SandboxError::Setup { .. })),
            "{:?}",
            run.result
        );
    }
}

fn a_probe_tells_what_can_be_done() {
    let parent = tempfile::tempdir().unwrap();
    let abilities = probe(parent.path()).unwrap();
    assert_eq!(abilities.build_users, is_root());
    assert_eq!(fs::read_dir(parent.path()).unwrap().count(), 0);
    // The limit holds, or there is none: never something between.
    let limits = Limits {
        memory: Some(64 << 20),
        ..Limits::default()
    };
    let run = |script: &str| {
        Build::new(script)
            .change(|request| request.limits = limits.clone())
            .run()
    };
    match abilities.memory_limit {
        Ok(()) => {
            assert_eq!(
                run("dd if=/dev/zero of=/dev/shm/file bs=1M count=200").end(),
                End::OutOfMemory
            );
        }
        Err(reason) => {
            assert!(reason.contains("cgroup"), "{reason}");
            assert!(matches!(
                run("").result,
                Err(SandboxError::Setup { hint: Some(_), .. })
            ));
        }
    }
}

fn processes_are_limited_in_the_builder_alone() {
    let run = |count: u32, says: &str| {
        let script = format!("for i in $(seq {count}); do sleep 0.5 & done; wait; {says}");
        Build::new(&script)
            .change(|request| request.limits.processes = Some(8))
            .run()
    };
    let too_many = run(8, "true");
    assert!(too_many.log.contains("can't fork"), "{}", too_many.log);
    assert_ne!(too_many.end(), End::Exited(0));
    // The processes of other builders, and of the same user of the machine, do not count.
    let run = run(6, "ulimit -u; ulimit -H -u");
    assert_eq!((run.log.as_str(), run.end()), ("8\n8\n", End::Exited(0)));
}

fn a_builder_with_network_is_kept_to_the_policy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let served = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"from outside\n").unwrap();
    });
    let script = format!(
        "nc 127.0.0.1 {port} < /dev/null; nc -w 2 169.254.169.254 80 < /dev/null 2> /dev/null || echo refused; cat /etc/nsswitch.conf"
    );
    let run = Build::new(&script)
        .change(|request| request.network = Some(Network::default()))
        .run();
    assert!(run.log.starts_with("from outside\n"), "{}", run.log);
    assert!(
        run.log
            .contains("note: the flow policy denies '169.254.169.254:80'\n"),
        "{}",
        run.log
    );
    assert!(
        run.log
            .ends_with("refused\nhosts: files dns\nservices: files\n"),
        "{}",
        run.log
    );
    served.join().unwrap();
}

fn scratch_folders_are_removed_kept_and_swept() {
    let parent = tempfile::tempdir().unwrap();
    let names = || {
        let entries = fs::read_dir(parent.path()).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect::<Vec<_>>()
    };
    let script =
        "mkdir -p a/b/c; touch a/b/c/file; chmod 0 a/b; chmod 555 a; echo left > file; exit 1";
    let build = |scratch: &Scratch| {
        let path = scratch.path().to_owned();
        let run = Build::new(script)
            .change(|request| request.scratch = path)
            .run();
        assert_eq!(run.end(), End::Exited(1));
    };
    let scratch = Scratch::new(parent.path()).unwrap();
    build(&scratch);
    assert_eq!(sweep(parent.path()).unwrap(), 0);
    scratch.remove().unwrap();
    assert_eq!(names(), Vec::<String>::new());

    let scratch = Scratch::new(parent.path()).unwrap();
    build(&scratch);
    let kept = scratch.keep_build_dir().unwrap();
    assert_eq!(fs::read_to_string(kept.join("file")).unwrap(), "left\n");

    let scratch = Scratch::new(parent.path()).unwrap();
    build(&scratch);
    drop(scratch);
    assert_eq!(sweep(parent.path()).unwrap(), 1);
    assert_eq!(names().len(), 1);
}

fn limits_and_cancelling_end_all_processes() {
    let stubborn = "trap '' TERM INT HUP; (while :; do :; done) & echo begun; while :; do :; done";
    let limited = |limits: Limits| {
        Build::new(stubborn)
            .change(|request| request.limits = limits)
            .run()
    };
    let second = Some(Duration::from_secs(1));
    let run = limited(Limits {
        timeout: second,
        ..Limits::default()
    });
    assert_eq!((run.log.as_str(), run.end()), ("begun\n", End::TimedOut));
    let run = limited(Limits {
        max_silent_time: second,
        ..Limits::default()
    });
    assert_eq!((run.log.as_str(), run.end()), ("begun\n", End::Silent));

    let bomb = Build::new("while :; do echo 0123456789; done");
    let run = bomb
        .change(|request| request.limits.max_log_size = Some(10_000))
        .run();
    assert_eq!(run.end(), End::LogLimit);
    assert!(run.log.len() <= 10_000);

    let cancel = Cancel::new().unwrap();
    cancel.cancel();
    assert_eq!(Build::new(stubborn).run_with(&cancel).end(), End::Cancelled);
}

fn signals_and_missing_programs_are_told() {
    // As the first process of its namespace it is safe from its own signals.
    assert_eq!(
        Build::new("kill -9 $$; kill -11 $$; exit 3").run().end(),
        End::Exited(3)
    );
    let run = Build::new("")
        .change(|request| request.process.program = b"/no/such".to_vec())
        .run();
    assert_eq!(
        (run.log.as_str(), run.end()),
        (
            "\x1b[31;1merror:\x1b[0m executing '\x1b[35;1m/no/such\x1b[0m': \x1b[35;1mNo such file or directory\x1b[0m",
            End::Exited(1)
        )
    );
}

fn what_is_killed_leaves_no_process() {
    let mark = format!("mark-{}", std::process::id());
    let script = format!("while :; do sleep 1; done; : {mark}");
    let mut program = Command::new("/proc/self/exe")
        .arg(RUN_AND_WAIT)
        .arg(script)
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    wait_until("the builder runs", || count_processes_with(&mark) > 1);
    program.kill().unwrap();
    program.wait().unwrap();
    wait_until("no process is left", || count_processes_with(&mark) == 0);
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < Duration::from_secs(20),
            "not in time: {what}"
        );
        thread::sleep(Duration::from_millis(5));
    }
}

fn count_processes_with(mark: &str) -> usize {
    let commands = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok());
    commands
        .filter(|command| String::from_utf8_lossy(command).contains(mark))
        .count()
}
