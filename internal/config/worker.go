package config

// Worker is the configuration of a machine that maps buckets for a hub.
type Worker struct {
	Name      string `yaml:"name" doc:"name of the worker, as the hub enrolled it"`
	Store     string `yaml:"store" doc:"the hub's store, as this machine reaches it: it needs to read only; Spark gives no environment, so credentials stand in a file named in the URL (credentials=FILE)"`
	Custodian string `yaml:"custodian" doc:"who opens the key ring: file:PATH of a key that only the account reads that Spark's executors run under"`
	Memory    string `yaml:"memory" doc:"how much ciphertext one worker process keeps, e.g. 256MiB"`
}

// DefaultWorker holds the defaults of a worker.
func DefaultWorker() Worker { return Worker{Memory: "256MiB"} }

// MemoryBytes is Memory as a number.
func (w Worker) MemoryBytes() (int64, error) { return Hub{Memory: w.Memory}.MemoryBytes() }
