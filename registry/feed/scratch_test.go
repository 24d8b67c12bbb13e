package feed_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"
)

func TestScratchLarge(t *testing.T) {
	if os.Getenv("SCRATCH") == "" {
		t.Skip()
	}
	p := open(t)
	n := 30000
	start := time.Now()
	var wg sync.WaitGroup
	for g := range 32 {
		wg.Go(func() {
			for i := g; i < n; i += 32 {
				name := fmt.Sprintf("bear%06d", i)
				p.want(http.StatusCreated, "PUT", "/acme/toy/"+name+"/1.0/a.txt", name+" 1.0")
			}
		})
	}
	wg.Wait()
	fmt.Println("populate", time.Since(start))
	get := func() {
		s := time.Now()
		res := p.do("GET", "/acme/toy/", "", "Accept-Encoding", "gzip")
		fmt.Println("GET index", time.Since(s), res.Header.Get("Content-Length"))
	}
	get()
	get()
	for i := range 5 {
		s := time.Now()
		p.want(http.StatusCreated, "PUT", fmt.Sprintf("/acme/toy/new%d/1.0/a.txt", i), fmt.Sprintf("new%d 1.0", i))
		fmt.Println("publish", time.Since(s))
		get()
	}
	// many versions
	start = time.Now()
	for g := range 32 {
		wg.Go(func() {
			for i := g; i < 5000; i += 32 {
				v := fmt.Sprintf("%d.0", i)
				p.want(http.StatusCreated, "PUT", "/acme/toy/many/"+v+"/a.txt", "many "+v)
			}
		})
	}
	wg.Wait()
	fmt.Println("5000 versions", time.Since(start))
	for i := range 5 {
		s := time.Now()
		v := fmt.Sprintf("x%d.0", i)
		p.want(http.StatusCreated, "PUT", "/acme/toy/many/"+v+"/a.txt", "many "+v)
		fmt.Println("publish at 5000", time.Since(s))
		s = time.Now()
		p.want(http.StatusCreated, "PUT", "/acme/toy/few/"+v+"/a.txt", "few "+v)
		fmt.Println("publish at few", time.Since(s))
		s = time.Now()
		p.do("GET", "/acme/toy/many/", "")
		fmt.Println("GET many", time.Since(s))
	}
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	fmt.Println("heap", ms.HeapInuse>>20, "sys", ms.Sys>>20)
}
