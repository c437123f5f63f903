import { fork } from "node:child_process";
import { createServer } from "node:http";
import { Pool } from "undici";
const whole = `{"id":"x","created":1,"model":"b","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"${"word ".repeat(32)}"},"finish_reason":"stop"}],"usage":{"prompt_tokens":24,"completion_tokens":32,"total_tokens":56}}`;
const s=createServer((q,r)=>{q.resume();q.on("end",()=>{r.writeHead(200,{"content-type":"application/json","content-length":whole.length});r.end(whole)})});
await new Promise<void>(r=>s.listen(0,"127.0.0.1",()=>r()));
const u=`http://127.0.0.1:${(s.address() as any).port}`;
for (const kind of ["bare","ours"]) {
const c=fork("dist/bench/support/proxyProcess.js",[kind,u]);
const m:any=await new Promise(r=>c.once("message",r));
const p=new Pool(m.url,{connections:16});
const b=JSON.stringify({model:"bench",messages:[{role:"user",content:"hello there"}],max_tokens:100});
const run=async(n:number)=>{let left=n;
await Promise.all(Array.from({length:16},async()=>{while(left-->0){const r=await p.request({method:"POST",path:"/v1/chat/completions",headers:{authorization:`Bearer ${m.secret}`,"content-type":"application/json"},body:b});await r.body.text();}}))};
const cpu=()=>new Promise<any>(r=>{c.once("message",r);c.send("cpu")});
await run(3000);
for(let i=0;i<3;i++){const a=await cpu();await run(5000);const z=await cpu();console.log(kind,(z.cpuMicros-a.cpuMicros)/5000)}
await p.close();
c.disconnect(); await new Promise(r=>c.once("exit",r));} s.close();
