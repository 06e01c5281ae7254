package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/havre-hub/havre/internal/ground/blob/blobtest"
)

// TestTalksToNobody: no telemetry. The real binary makes the demo, then serves
// a hub on an S3 store, takes a delivery over HTTPS and ingests it, in a network
// of its own whose one interface catches every packet to anywhere. What is not
// between it and the configured store or the holder fails the test: look-ups of
// names too.
func TestTalksToNobody(t *testing.T) {
	if os.Getenv("HAVRE_TEST_NETWORK") != "" {
		inside(t)
		return
	}
	bin := filepath.Join(t.TempDir(), "havre")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	self, err := os.Executable()
	must(t, err)
	var out []byte
	for _, flags := range []uintptr{syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET, syscall.CLONE_NEWNET} {
		cmd := exec.Command(self, "-test.run=^TestTalksToNobody$", "-test.v")
		cmd.Env = append(os.Environ(), "HAVRE_TEST_NETWORK=1", "HAVRE_TEST_BINARY="+bin)
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags&syscall.CLONE_NEWUSER != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}
		}
		if out, err = cmd.CombinedOutput(); cmd.ProcessState != nil {
			break // it ran, well or badly
		}
	}
	if err != nil && len(out) == 0 {
		t.Fatalf("this test needs a network namespace of its own (unprivileged user namespaces, or root): %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// inside runs in the network namespace.
func inside(t *testing.T) {
	must(t, loopback())
	s3 := blobtest.StartS3(t)
	u, err := url.Parse(s3.Endpoint)
	must(t, err)
	store, err := strconv.Atoi(u.Port())
	must(t, err)
	serve := freePort(t)
	w := watch(t, uint16(store), uint16(serve))

	// It sees what it must: else what follows proves nothing.
	_, _ = net.DefaultResolver.LookupHost(timed(t), "telemetry.example")
	if got := w.seen(); !strings.Contains(got, "UDP") || !strings.Contains(got, ":53") {
		t.Fatalf("a look-up of a name is not seen: %s", got)
	}
	for _, to := range []string{"203.0.113.9:443", "127.0.0.1:1", "[2001:db8::9]:443", fmt.Sprintf("203.0.113.9:%d", store)} {
		if c, err := (&net.Dialer{}).DialContext(timed(t), "tcp", to); err == nil {
			_ = c.Close()
		}
		if got := w.seen(); !strings.Contains(got, "TCP") || !strings.Contains(got, to) {
			t.Fatalf("a connection to %s is not seen: %s", to, got)
		}
	}

	dir := t.TempDir()
	run := func(args ...string) string {
		t.Helper()
		cmd := havre(dir, s3.Getenv, args...)
		var errs bytes.Buffer
		cmd.Stderr = &errs
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("havre %v: %v\n%s", args, err, errs.String())
		}
		if got := w.seen(); got != "" {
			t.Errorf("havre %v talks to others:\n%s", args, got)
		}
		return string(out)
	}
	run("-q", "demo", "--residents", "200", "--out", "demo")
	run("-q", "synth", "--residents", "60", "--seed", "2", "--out", "pop")
	run("keeper", "init", "--keeper", "keeper", "--name", "keeper", "--custodian", "file:../safe/keeper.key")
	run("init", "--hub", "hub", "--name", "le-havre", "--store", s3.URL("hub"), "--custodian", "file:../safe/hub.key", "--key-beside-store", "--buckets", "2", "--as", "op@hub.example")
	run("holder", "init", "--holder", "assurance", "--name", "assurance", "--hub-card", "hub/card.json", "--keeper-card", "keeper/card.json")
	run("trust", "--at", "hub", "keeper/card.json", "assurance/card.json")
	run("trust", "--at", "keeper", "hub/card.json", "assurance/card.json")

	server := havre(dir, s3.Getenv, "serve", "--hub", "hub", "--listen", "127.0.0.1:"+strconv.Itoa(serve))
	must(t, server.Start())
	answers(t, serve)
	run("-q", "deliver", "--holder", "assurance", "--cdm", "pop/holders/assurance/omop", "--identity", "pop/holders/assurance/identity.csv",
		"--to-hub", "https://127.0.0.1:"+strconv.Itoa(serve), "--to-keeper", "way")
	must(t, server.Process.Signal(os.Interrupt))
	must(t, server.Wait())
	ids, err := os.ReadDir(filepath.Join(dir, "way"))
	must(t, err)
	id := ids[0].Name()
	run("-q", "keeper", "link", "--keeper", "keeper", "--from", "way/"+id, "--to", "linked")
	run("-q", "ingest", "--hub", "hub", "--linkage", "linked/"+id, id)
	if out := run("-q", "fsck", "--hub", "hub"); !strings.Contains(out, "2 snapshots") {
		t.Errorf("the delivery is not in: %s", out)
	}
	run("audit", "export", "--hub", "hub", "--out", "proofs")
	if n := w.store(); n < 50 {
		t.Errorf("only %d packets went between the binary and its store: it was not watched at work", n)
	}
	w.end(t)
}

// havre is the real binary, with nothing of the environment but what it needs.
func havre(dir string, getenv func(string) string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv("HAVRE_TEST_BINARY"), args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + os.TempDir()}
	for _, v := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} {
		cmd.Env = append(cmd.Env, v+"="+getenv(v))
	}
	return cmd
}

func timed(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	t.Cleanup(cancel)
	return ctx
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func answers(t *testing.T, port int) {
	t.Helper()
	for range 300 {
		if c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port)); err == nil {
			_ = c.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("the hub does not listen")
}

// loopback sets up the namespace's one interface and has it catch every
// address there is: "ip link set lo up; ip route add local default dev lo".
func loopback() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("lo cannot be set up: %w", err)
	}
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if err := localDefault(family); err != nil {
			return fmt.Errorf("lo cannot catch every address: %w", err)
		}
	}
	return nil
}

// localDefault asks the kernel by rtnetlink for a local route to everywhere.
func localDefault(family uint8) error {
	s, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return err
	}
	defer unix.Close(s)
	msg := make([]byte, unix.SizeofNlMsghdr+unix.SizeofRtMsg+8)
	h := (*unix.NlMsghdr)(unsafe.Pointer(&msg[0]))
	*h = unix.NlMsghdr{Len: uint32(len(msg)), Type: unix.RTM_NEWROUTE, Flags: unix.NLM_F_REQUEST | unix.NLM_F_ACK | unix.NLM_F_CREATE, Seq: 1}
	r := (*unix.RtMsg)(unsafe.Pointer(&msg[unix.SizeofNlMsghdr]))
	*r = unix.RtMsg{Family: family, Table: unix.RT_TABLE_LOCAL, Protocol: unix.RTPROT_BOOT, Scope: unix.RT_SCOPE_HOST, Type: unix.RTN_LOCAL}
	attr := msg[unix.SizeofNlMsghdr+unix.SizeofRtMsg:]
	binary.NativeEndian.PutUint16(attr, 8)
	binary.NativeEndian.PutUint16(attr[2:], unix.RTA_OIF)
	binary.NativeEndian.PutUint32(attr[4:], 1) // lo is always the first
	if err := unix.Sendto(s, msg, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return err
	}
	answer := make([]byte, 4096)
	n, _, err := unix.Recvfrom(s, answer, 0)
	if err != nil {
		return err
	}
	if n >= unix.SizeofNlMsghdr+4 {
		if code := int32(binary.NativeEndian.Uint32(answer[unix.SizeofNlMsghdr:])); code != 0 {
			return syscall.Errno(-code)
		}
	}
	return nil
}

// watcher reads every packet of the namespace that is not between loopback
// ports that are expected; those it counts only.
type watcher struct {
	all, others int // sockets
	mu          sync.Mutex
	found       []string
	count       int
}

// watch begins; ports are those of the store and of the hub.
func watch(t *testing.T, ports ...uint16) *watcher {
	t.Helper()
	w := &watcher{}
	accept := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 256}}
	var err error
	w.others, err = packets(unexpected(ports))
	must(t, err)
	w.all, err = packets(accept)
	must(t, err)
	go func() {
		b := make([]byte, 512)
		for {
			n, err := unix.Read(w.others, b)
			if err != nil {
				return
			}
			w.mu.Lock()
			if s := describe(b[:n]); !slices.Contains(w.found, s) {
				w.found = append(w.found, s)
			}
			w.mu.Unlock()
		}
	}()
	go func() {
		b := make([]byte, 64)
		for {
			if _, err := unix.Read(w.all, b); err != nil {
				return
			}
			w.mu.Lock()
			w.count++
			w.mu.Unlock()
		}
	}()
	return w
}

// packets opens a raw socket on lo with a filter in the kernel.
func packets(filter []unix.SockFilter) (int, error) {
	const everything = 0x0003 // ETH_P_ALL
	proto := uint16(everything<<8 | everything>>8)
	s, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // deaf until it is bound
	if err != nil {
		return -1, err
	}
	if err := unix.SetsockoptSockFprog(s, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}); err != nil {
		return -1, err
	}
	return s, unix.Bind(s, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: 1})
}

// unexpected is a BPF program that takes every packet but TCP over IPv4 from
// 127.0.0.1 to 127.0.0.1 with one of the ports on either side.
func unexpected(ports []uint16) []unix.SockFilter {
	ld := func(size, mode uint16, k uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | size | mode, K: k}
	}
	p := []unix.SockFilter{
		ld(unix.BPF_H, unix.BPF_ABS, 12), {Code: unix.BPF_JMP | unix.BPF_JEQ, K: unix.ETH_P_IP},
		ld(unix.BPF_B, unix.BPF_ABS, 23), {Code: unix.BPF_JMP | unix.BPF_JEQ, K: unix.IPPROTO_TCP},
		ld(unix.BPF_W, unix.BPF_ABS, 26), {Code: unix.BPF_JMP | unix.BPF_JEQ, K: 0x7f000001},
		ld(unix.BPF_W, unix.BPF_ABS, 30), {Code: unix.BPF_JMP | unix.BPF_JEQ, K: 0x7f000001},
	}
	mustHold := len(p)
	p = append(p, unix.SockFilter{Code: unix.BPF_LDX | unix.BPF_B | unix.BPF_MSH, K: 14})
	first := len(p)
	for _, side := range []uint32{14, 16} {
		p = append(p, ld(unix.BPF_H, unix.BPF_IND, side))
		for _, port := range ports {
			p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ, K: uint32(port)})
		}
	}
	take := len(p)
	p = append(p, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 256}, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: 0})
	for i := 1; i < mustHold; i += 2 {
		p[i].Jf = uint8(take - i - 1)
	}
	for i := first; i < take; i++ {
		if p[i].Code&7 == unix.BPF_JMP {
			p[i].Jt = uint8(take + 1 - i - 1) // an expected port: leave it
		}
	}
	return p
}

// describe tells who a packet is from and to.
func describe(b []byte) string {
	if len(b) < 14 {
		return "a stub of a packet"
	}
	kind, b := binary.BigEndian.Uint16(b[12:]), b[14:]
	var from, to net.IP
	var proto byte
	switch {
	case kind == unix.ETH_P_IP && len(b) >= 20:
		from, to, proto = net.IP(b[12:16]), net.IP(b[16:20]), b[9]
		b = b[min(int(b[0]&15)*4, len(b)):]
	case kind == unix.ETH_P_IPV6 && len(b) >= 40:
		from, to, proto = net.IP(b[8:24]), net.IP(b[24:40]), b[6]
		b = b[40:]
	default:
		return fmt.Sprintf("a packet of the protocol %04x", kind)
	}
	name := map[byte]string{unix.IPPROTO_TCP: "TCP", unix.IPPROTO_UDP: "UDP", unix.IPPROTO_ICMP: "ICMP", unix.IPPROTO_ICMPV6: "ICMPv6"}[proto]
	if (name == "TCP" || name == "UDP") && len(b) >= 4 {
		return fmt.Sprintf("%s %s -> %s", name, join(from, b), join(to, b[2:]))
	}
	return fmt.Sprintf("%s (%d) %s -> %s", name, proto, from, to)
}

func join(ip net.IP, port []byte) string {
	return net.JoinHostPort(ip.String(), strconv.Itoa(int(binary.BigEndian.Uint16(port))))
}

// seen gives what was found since the last call, "" for nothing.
func (w *watcher) seen() string {
	time.Sleep(50 * time.Millisecond) // the reader is behind the wire
	w.mu.Lock()
	defer w.mu.Unlock()
	got := strings.Join(w.found, "\n")
	w.found = nil
	return got
}

// store is the number of packets of any kind so far.
func (w *watcher) store() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

// end demands that the kernel dropped nothing that had to be looked at.
func (w *watcher) end(t *testing.T) {
	t.Helper()
	stats, err := unix.GetsockoptTpacketStats(w.others, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	must(t, err)
	if stats.Drops > 0 {
		t.Errorf("%d packets were not looked at", stats.Drops)
	}
}
