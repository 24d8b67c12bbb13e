package main

import (
	"errors"
	"strings"
	"testing"
)

const goodReport = `config:
  version: dev

OCI Conformance Result: Pass
  Disabled......................:          0
  Skip..........................:          0
  Pass..........................:        995
  FAIL..........................:          0
  Error.........................:          0
  Total.........................:        996

API conformance:
  Tag listing...................:       Pass
  Blob post only................:       Pass

Data conformance:
  Sparse Manifests..............:   Disabled
`

func TestJudge(t *testing.T) {
	t.Parallel()
	sparse := []string{sparseLine}
	for _, tt := range []struct {
		name     string
		report   string
		disabled []string
		want     string // in the error; "" is none
	}{
		{"everything passes", goodReport, sparse, ""},
		{"a skip is a failure", strings.Replace(goodReport, "only................:       Pass", "only................:       Skip", 1), sparse, "Blob post only is Skip"},
		{"a skipped check is a failure", strings.Replace(goodReport, "Skip..........................:          0", "Skip..........................:          3", 1), sparse, "Skip is 3"},
		{"a failure shows", strings.Replace(goodReport, "listing...................:       Pass", "listing...................:       FAIL", 1), sparse, "Tag listing is FAIL"},
		{"nothing else may be disabled", goodReport, nil, "Sparse Manifests is Disabled, want Pass"},
		{"what must be disabled and is not", strings.Replace(goodReport, ":   Disabled", ":       Pass", 1), sparse, "Sparse Manifests is Pass"},
		{"the suite did not run", "failed to load config", sparse, "no result"},
		{"an empty report", "\nOCI Conformance Result: Pass\n", sparse, "no lines"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := judge(tt.report, tt.disabled)
			switch {
			case tt.want == "" && err != nil:
				t.Errorf("err = %v, want none", err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Errorf("err = %v, want %q in it", err, tt.want)
			}
		})
	}
}

const clientEvents = `{"Action":"attr","Test":"TestCrane","Key":"client","Value":"crane"}
{"Action":"attr","Test":"TestCrane","Key":"version","Value":"v1"}
not an event
{"Action":"pass","Test":"TestCrane/TLS/push,_pull"}
{"Action":"pass","Test":"TestCrane/HTTP/tag"}
{"Action":"pass","Test":"TestCrane/HTTP/push,_pull"}
{"Action":"output","Test":"TestCrane/TLS/tag","Output":"boom\n"}
{"Action":"fail","Test":"TestCrane/TLS/tag"}
{"Action":"pass","Test":"TestCrane/HTTP","Elapsed":1.5}
{"Action":"fail","Test":"TestCrane/TLS","Elapsed":2}
{"Action":"skip","Test":"TestOther"}
`

func TestMatrixHoldsWhatPassed(t *testing.T) {
	t.Parallel()
	got := strings.TrimPrefix(matrixOf(parseEvents([]byte(clientEvents))).render(), clientsHead)
	want := "| crane | v1 | push, pull | ✓ | ✓ |\n| crane | v1 | tag | ✓ | – |\n"
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

const packageEvents = `{"Action":"pass","Test":"TestMatrix/npm/oras_push/oras_pull/install"}
{"Action":"pass","Test":"TestMatrix/npm/native_publish/native_install/install"}
{"Action":"pass","Test":"TestMatrix/npm/native_publish/native_install/sign"}
{"Action":"fail","Test":"TestMatrix/npm/oras_push/oras_pull/sign"}
{"Action":"attr","Test":"TestNPM/x","Key":"format","Value":"npm"}
{"Action":"attr","Test":"TestNPM/x","Key":"client","Value":"pnpm"}
{"Action":"attr","Test":"TestNPM/x","Key":"version","Value":"12"}
{"Action":"attr","Test":"TestNPM/x","Key":"use","Value":"install, by lock file"}
{"Action":"pass","Test":"TestNPM/x"}
{"Action":"attr","Test":"TestNPM/y","Key":"use","Value":"publish"}
{"Action":"fail","Test":"TestNPM/y"}
`

func TestPackageTablesHoldWhatPassed(t *testing.T) {
	t.Parallel()
	events := parseEvents([]byte(packageEvents))
	got := cellsOf(events).render()
	want := "| format | published by | installed by | install | sign |\n| --- | --- | --- | --- | --- |\n" +
		"| npm | native publish | native install | ✓ | ✓ |\n| npm | oras push | oras pull | ✓ | – |\n"
	if got != want {
		t.Errorf("cells: got\n%swant\n%s", got, want)
	}
	if got, want := renderUses(usesOf(events)), "| npm | pnpm | 12 | install, by lock file |\n"; got != want {
		t.Errorf("uses: got\n%swant\n%s", got, want)
	}
}

func TestAccessHoldsWhatPassed(t *testing.T) {
	t.Parallel()
	events := parseEvents([]byte(`{"Action":"attr","Test":"TestNPM/x","Key":"client","Value":"npm"}
{"Action":"attr","Test":"TestNPM/x","Key":"version","Value":"11"}
{"Action":"attr","Test":"TestNPM/x","Key":"use","Value":"log in"}
{"Action":"pass","Test":"TestNPM/x"}
{"Action":"attr","Test":"TestNPM/y","Key":"use","Value":"refused"}
{"Action":"fail","Test":"TestNPM/y"}
`))
	if got, want := renderAccess(usesOf(events)), "| npm | 11 | log in |\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestASectionIsReplacedAlone(t *testing.T) {
	t.Parallel()
	text := withSection("an older head\n", packagesHeading, "packages\n")
	text = withSection(text, clientsHeading, "clients\n")
	text = withSection(text, packagesHeading, "other packages\n")
	want := readmeHead + "\n" + clientsHeading + "\nclients\n\n" + packagesHeading + "\nother packages\n"
	if text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
	if again := withSection(text, packagesHeading, "other packages\n"); again != text {
		t.Errorf("written again, it is another:\n%s", again)
	}
}

func TestSuitesOnReplicasAreListedInTheirOrder(t *testing.T) {
	t.Parallel()
	text := ""
	for _, name := range []string{"crash", "oci", "crash"} {
		text = replicatedRows("\n"+text, name)
	}
	want := replicasHead + "| oci | the official OCI conformance suite, everything on |\n| crash | one replica or both killed; one winner of a race; quotas |\n"
	if text != want {
		t.Errorf("got\n%swant\n%s", text, want)
	}
}

func TestAFailureOutsideBothTransportsShows(t *testing.T) {
	t.Parallel()
	events := parseEvents([]byte(`{"Action":"pass","Test":"TestDocker/HTTP/push"}
{"Action":"pass","Test":"TestDocker/HTTP"}
{"Action":"pass","Test":"TestDocker/TLS"}
{"Action":"output","Test":"TestDocker","Output":"dockerd did not end\n"}
{"Action":"fail","Test":"TestDocker"}
`))
	rows := clientRows(events, matrixOf(events))
	if len(rows) != 3 || rows[2].name != "Docker" || rows[2].err == nil {
		t.Errorf("rows = %v, want two passes and a failure", rows)
	}
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	rows := verdicts(parseEvents([]byte(clientEvents)), 2)
	if len(rows) != 2 || rows[0].err != nil || rows[1].err == nil || !strings.Contains(rows[1].err.Error(), "boom") {
		t.Errorf("rows = %v, want a pass and a failure that says boom", rows)
	}
	if rows := verdicts(parseEvents([]byte(clientEvents)), 1); len(rows) != 1 || rows[0].err == nil {
		t.Errorf("rows = %v, want the skipped test as a failure", rows)
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		full bool
		only string
		want string
	}{
		{"the short tier", false, "", "setup build vet unit fuzz oci crash api secrets adopt clients oidc packages image chart oci-replicas clients-replicas packages-replicas crash-replicas secrets-replicas"},
		{"the long tier", true, "", "setup build vet unit fuzz oci api secrets adopt clients oidc packages image chart oci-replicas clients-replicas packages-replicas crash-replicas secrets-replicas access-replicas oidc-replicas api-replicas packages-full-replicas crash-full-replicas consistency-full crash-full bench"},
		{"one step and what it needs", false, "oci", "setup build oci"},
		{"a long step by name", false, "bench,vet", "setup build vet bench"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			steps, err := choose(allSteps(), tt.full, tt.only)
			if err != nil {
				t.Fatal(err)
			}
			names := make([]string, len(steps))
			for i, s := range steps {
				names[i] = s.name
			}
			if got := strings.Join(names, " "); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
	if _, err := choose(allSteps(), false, "nope"); err == nil {
		t.Error("an unknown step was accepted")
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	e := &environment{out: &out, results: []result{{name: "a"}, {name: "b", err: errors.New("x")}}}
	if code := e.summary(); code != 1 || !strings.HasSuffix(out.String(), "\n1 passed, 1 failed\n") {
		t.Errorf("status %d after\n%s", code, out.String())
	}
	if code := (&environment{out: &out}).summary(); code != 1 {
		t.Error("a run of nothing passed")
	}
}
