package localstore
import ("testing";"database/sql";"fmt";"os";"modernc.org/sqlite")
func try(t *testing.T, dsn string) {
	c, err := sqlite.NewConnector(dsn); if err != nil { t.Fatal(err) }
	db := sql.OpenDB(c); defer db.Close()
	var n int
	err = db.QueryRow("select count(*) from ValidPaths").Scan(&n)
	fmt.Println(dsn, n, err)
	var b []byte
	err = db.QueryRow("select substr(data,17,6) from sqlite_dbpage where pgno=1").Scan(&b)
	fmt.Println("  page1", b, err)
}
func TestExp(t *testing.T) {
	d := os.Getenv("EXPDB")
	ls := func() { es, _ := os.ReadDir(d); for _, e := range es { i,_ := e.Info(); fmt.Println("   ", e.Name(), i.Size()) } }
	ls()
	p := "file://"+d+"/db.sqlite"
	for _, m := range []string{"?immutable=1&mode=ro", "?mode=ro&readonly_shm=1", "?mode=ro"} { try(t, p+m); ls() }
}
